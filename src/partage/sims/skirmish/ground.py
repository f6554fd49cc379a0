"""The ground of a map: where one can stand, how high it is, how to walk round walls, and where
groups are placed.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int16, Int64
from scipy.sparse.csgraph import shortest_path

from partage.sims.compilation import compiled
from partage.sims.skirmish.data import Ground, Group, Rectangle, Unit, units

SIZE = 32  # cells along each side of every SMAC map
FIRST, LAST = 2, 29  # cells that the game leaves open at its border
BASE = 64  # terrain level of the lowest ground
MARGIN = 0.3  # room that a straight way leaves on both sides
LATTICE = 0.125  # distance of the points tried for placing a unit
APART = 0.02  # between placed bodies


class Terrain(NamedTuple):
    """Grids are indexed [y, x]. Stops are the centres of the cells where walkers stand."""

    pathing: Bool[np.ndarray, "H W"]
    striding: Bool[np.ndarray, "H W"]  # with cliffs
    level: Int64[np.ndarray, "H W"]
    stop: Int64[np.ndarray, "H W"]  # nearest to each cell
    way: Int16[np.ndarray, "P P"]  # next stop on the shortest way from one to another
    stop_x: Float64[np.ndarray, "P"]
    stop_y: Float64[np.ndarray, "P"]


def marked(rectangles: tuple[Rectangle, ...]) -> Bool[np.ndarray, "H W"]:
    grid = np.zeros((SIZE, SIZE), bool)
    for low, high, left, right in rectangles:
        grid[low : high + 1, left : right + 1] = True
    return grid


@cache
def terrain(ground: Ground) -> Terrain:
    """Grown open cells, less the cliffs for walkers; shortest ways between all pairs of cells."""
    grown = marked(ground.open)
    grown[1:] |= (still := grown.copy())[:-1]
    grown[:-1] |= still[1:]
    grown[:, 1:] |= still[:, :-1]
    grown[:, :-1] |= still[:, 1:]
    grown &= marked(((FIRST, LAST, FIRST, LAST),))
    level = np.full((SIZE, SIZE), BASE)
    for low, high, left, right, height in ground.levels:
        level[low : high + 1, left : right + 1] = height
    pathing = grown & ~marked(ground.cliffs)
    stop_y, stop_x = np.nonzero(pathing) + np.array(0.5)
    cells = (
        np.stack(np.meshgrid(range(SIZE), range(SIZE), indexing="ij"), -1).reshape(-1, 1, 2) + 0.5
    )
    stop = np.square(cells - np.stack([stop_y, stop_x], -1)).sum(-1).argmin(1).reshape(SIZE, SIZE)
    return Terrain(pathing, grown, level, stop, ways(pathing, stop_x, stop_y), stop_x, stop_y)


def ways(
    pathing: Bool[np.ndarray, "H W"], x: Float64[np.ndarray, "P"], y: Float64[np.ndarray, "P"]
) -> Int16[np.ndarray, "P P"]:
    """The next stop on the shortest way from each stop to each: the last one before it, coming from
    the other end.
    """
    length = (
        np.hypot(x[:, None] - x, y[:, None] - y) + 1e-3
    )  # a little for every stop, so that straight is shortest
    graph = np.where(sight(pathing, x, y), length, np.inf)
    _, before = shortest_path(graph, method="FW", directed=False, return_predecessors=True)
    own = np.arange(len(x))
    return np.where(before < 0, own[:, None], before).T.astype(np.int16)


@compiled
def sight(
    pathing: Bool[np.ndarray, "H W"], x: Float64[np.ndarray, "P"], y: Float64[np.ndarray, "P"]
) -> Bool[np.ndarray, "P P"]:
    """Whether the straight way from one stop to the other, with some room on both sides, is free."""
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


def placed(groups: tuple[Group, ...], ground: Ground) -> Float64[np.ndarray, "U 2"]:
    """A place (x, y) for each unit in the order of creation: the free one nearest to its group's
    point.
    """
    grid, taken = terrain(ground), []
    steps = np.arange(-8, 8 + LATTICE / 2, LATTICE)
    offsets = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)  # (x, y), by rows
    offsets = offsets[np.square(offsets).sum(1).argsort(kind="stable")]
    for group in groups:
        unit = units()[group.unit]
        points = offsets + group.at
        points = points[((points >= FIRST) & (points < LAST + 1)).all(1)]
        cells = points.astype(int)
        standable = grid.striding if unit.plane == "strider" else grid.pathing
        points = points[standable[cells[:, 1], cells[:, 0]] | (unit.plane == "air")]
        for other, place in taken:
            points = clear(points, unit, other, place)
        for _ in range(group.number):
            taken.append((unit, points[0]))
            points = clear(points, unit, *taken[-1])
    return np.array([place for _, place in taken])


def clear(
    points: Float64[np.ndarray, "P 2"], unit: Unit, other: Unit, place: Float64[np.ndarray, "2"]
) -> Float64[np.ndarray, "Q 2"]:
    """The points where a body does not touch another one that stands at that place."""
    if unit.plane != other.plane:
        return points
    return points[np.hypot(*(points - place).T) >= unit.separation + other.separation + APART]
