"""Lay out a map's ground: where one can stand, the ways round walls, and where units are placed."""

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int16, Int64
from scipy.sparse.csgraph import shortest_path

from partage.sims.compilation import compiled
from partage.sims.skirmish.data import Ground, Group, Rectangle, UnitType, unit_types

SIZE = 32  # cells along each side of every SMAC map
FIRST = 2  # first cell that the game leaves open at its border
LAST = 29  # last one
LOWEST_LEVEL = 64  # terrain level of the lowest ground
MARGIN = 0.3  # space that a straight way leaves on both sides
STOP_COST = 1e-3  # added to a way for each of its stops, so that straight is shortest
AROUND = 8  # how far from its group's point a unit may be placed
LATTICE = 0.125  # distance of the points tried for placing a unit
APART = 0.02  # between placed bodies


class Terrain(NamedTuple):
    """Hold a ground's grids, indexed [y, x]. Stops are the centres of the cells of `pathing`."""

    pathing: Bool[np.ndarray, "H W"]  # where walkers stand
    striding: Bool[np.ndarray, "H W"]  # with cliffs
    level: Int64[np.ndarray, "H W"]  # height
    stop: Int64[np.ndarray, "H W"]  # nearest to each cell
    way: Int16[np.ndarray, "P P"]  # next stop on the shortest way from one to another
    stop_x: Float64[np.ndarray, "P"]
    stop_y: Float64[np.ndarray, "P"]


def mark(rectangles: tuple[Rectangle, ...]) -> Bool[np.ndarray, "H W"]:
    """Return a grid that is true in the rectangles."""
    grid = np.zeros((SIZE, SIZE), bool)
    for low, high, left, right in rectangles:
        grid[low : high + 1, left : right + 1] = True
    return grid


def grow(grid: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Return the grid grown by one cell in each of the four directions, diagonals left out."""
    grown = grid.copy()
    grown[1:] |= grid[:-1]
    grown[:-1] |= grid[1:]
    grown[:, 1:] |= grid[:, :-1]
    grown[:, :-1] |= grid[:, 1:]
    return grown


@cache
def terrain(ground: Ground) -> Terrain:
    """Return grown open cells, less the cliffs for walkers, and shortest ways between all cells."""
    striding = grow(mark(ground.open)) & mark(((FIRST, LAST, FIRST, LAST),))
    pathing = striding & ~mark(ground.cliffs)
    level = np.full((SIZE, SIZE), LOWEST_LEVEL)
    for low, high, left, right, height in ground.levels:
        level[low : high + 1, left : right + 1] = height
    stop_y, stop_x = np.nonzero(pathing) + np.array(0.5)
    return Terrain(
        pathing=pathing,
        striding=striding,
        level=level,
        stop=nearest_stops(stop_x, stop_y),
        way=next_stops(pathing, stop_x, stop_y),
        stop_x=stop_x,
        stop_y=stop_y,
    )


def nearest_stops(
    stop_x: Float64[np.ndarray, "P"], stop_y: Float64[np.ndarray, "P"]
) -> Int64[np.ndarray, "H W"]:
    """Return the stop that is nearest to each cell's centre."""
    y, x = np.meshgrid(range(SIZE), range(SIZE), indexing="ij")
    centres = np.stack([y, x], -1).reshape(-1, 1, 2) + 0.5
    squares = np.square(centres - np.stack([stop_y, stop_x], -1)).sum(-1)
    return squares.argmin(1).reshape(SIZE, SIZE)


def next_stops(
    pathing: Bool[np.ndarray, "H W"], x: Float64[np.ndarray, "P"], y: Float64[np.ndarray, "P"]
) -> Int16[np.ndarray, "P P"]:
    """Return the next stop on the shortest way from each stop to each other.

    It is the last one before the start on the way from the other end. Where there is no way, and
    from a stop to itself, it is the end.
    """
    length = np.hypot(x[:, None] - x, y[:, None] - y) + STOP_COST
    graph = np.where(free_lines(pathing, x, y), length, np.inf)
    _, before = shortest_path(graph, method="FW", directed=False, return_predecessors=True)
    end = np.arange(len(x))
    return np.where(before < 0, end[:, None], before).T.astype(np.int16)


@compiled
def free_lines(
    pathing: Bool[np.ndarray, "H W"], x: Float64[np.ndarray, "P"], y: Float64[np.ndarray, "P"]
) -> Bool[np.ndarray, "P P"]:
    """Return whether the straight line between two stops, with a margin on both sides, is free."""
    free = np.ones((len(x), len(x)), np.bool_)
    for a in range(len(x)):
        for b in range(a):
            dx, dy = x[b] - x[a], y[b] - y[a]
            length = np.hypot(dx, dy)
            aside_x, aside_y = -dy / length * MARGIN, dx / length * MARGIN
            points = int(5 * length) + 1
            for point in range(1, points):
                for edge in (-1, 1):
                    cell_x = int(x[a] + dx * point / points + edge * aside_x)
                    cell_y = int(y[a] + dy * point / points + edge * aside_y)
                    if not pathing[cell_y, cell_x]:
                        free[a, b] = free[b, a] = False
    return free


def place_units(groups: tuple[Group, ...], ground: Ground) -> Float64[np.ndarray, "U 2"]:
    """Return a place (x, y) for each unit in the order of creation.

    It is the free one nearest to the group's point.
    """
    types: list[UnitType] = []
    places: list[Float64[np.ndarray, "2"]] = []
    for group in groups:
        unit = unit_types()[group.unit]
        points = standing_points(group, unit, ground)
        for other, place in zip(types, places, strict=True):
            points = clear_of(points, unit, other, place)
        for _ in range(group.number):
            types.append(unit)
            places.append(points[0])
            points = clear_of(points, unit, unit, points[0])
    return np.array(places)


def lattice() -> Float64[np.ndarray, "P 2"]:
    """Return the steps (x, y) from a point to those that are tried around it, nearest first."""
    steps = np.arange(-AROUND, AROUND + LATTICE / 2, LATTICE)
    offsets = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)  # (x, y), line by line
    return offsets[np.square(offsets).sum(1).argsort(kind="stable")]


def standing_points(group: Group, unit: UnitType, ground: Ground) -> Float64[np.ndarray, "P 2"]:
    """Return the points (x, y) of a lattice where the ground carries the unit, nearest first."""
    points = lattice() + group.centre
    points = points[((points >= FIRST) & (points < LAST + 1)).all(1)]
    if unit.plane == "air":
        return points
    grids = terrain(ground)
    standable = grids.striding if unit.plane == "strider" else grids.pathing
    cells = points.astype(int)
    return points[standable[cells[:, 1], cells[:, 0]]]


def clear_of(
    points: Float64[np.ndarray, "P 2"],
    unit: UnitType,
    other: UnitType,
    place: Float64[np.ndarray, "2"],
) -> Float64[np.ndarray, "Q 2"]:
    """Return the points where a body does not touch another one that stands at that place."""
    if unit.plane != other.plane:
        return points
    return points[np.hypot(*(points - place).T) >= unit.separation + other.separation + APART]
