"""The grid of level-based foraging, and how an episode starts on it; `rules` has the steps."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from partage.sims.buffers import Buffers
from partage.sims.compilation import inlined
from partage.sims.random_numbers import integer

TRIES = 1000  # of finding a cell: for each player, and for all foods together


class Units(NamedTuple):
    """What an agent's numbers are counted in."""

    length: int = 1  # of coordinates, in cells
    level: int = 1
    reward: float = 1.0  # what all food is worth


class Rules(NamedTuple):
    """A task's constants."""

    rows: int
    cols: int
    sight: int
    coop: bool
    team: bool  # everyone earns the sum of all players' rewards
    penalty: float
    version: int
    units: Units


class World(NamedTuple):
    """What changes, one row per copy."""

    row: Int64[np.ndarray, "C P"]  # of the players; -1 before the first episode
    col: Int64[np.ndarray, "C P"]
    level: Int64[np.ndarray, "C P"]
    food_row: Int64[np.ndarray, "C F"]  # the first `foods` entries count, in reading order
    food_col: Int64[np.ndarray, "C F"]
    food_level: Int64[np.ndarray, "C F"]
    foods: Int64[np.ndarray, "C"]
    spawned: Int64[np.ndarray, "C"]  # sum of the food levels at the start
    target: Int64[np.ndarray, "C P"]  # scratch: the cell a player wants, as row * cols + col
    earned: Float64[np.ndarray, "C P"]  # scratch: a player's own reward for this step


@inlined
def place_players(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Put each player on a free cell.

    A player not yet placed still stands where its last episode ended, as in the package.
    """
    row, col = world.row[copy], world.col[copy]
    for player in range(len(row)):
        for _ in range(TRIES):
            y = integer(buffers.key, buffers.counter, copy, 0, rules.rows - 1)
            x = integer(buffers.key, buffers.counter, copy, 0, rules.cols - 1)
            free = True
            for other in range(len(row)):
                free = free and not (row[other] == y and col[other] == x)
            if free:
                row[player], col[player] = y, x
                world.level[copy, player] = integer(buffers.key, buffers.counter, copy, 1, 2)
                break


@inlined
def strongest_food(world: World, copy: int) -> int:
    """Return S, the sum of the three lowest player levels, which are 1 or 2."""
    ones = 0
    for level in world.level[copy]:
        ones += level == 1
    trio = min(3, world.level.shape[1])
    return 2 * trio - min(ones, trio)


@inlined
def fits(world: World, copy: int, y: int, x: int) -> bool:
    """Return whether a food may be put on a cell.

    There is no food in the 3x3 cells around nor within two cells along the row or column, and no
    player on the cell.
    """
    for food in range(world.foods[copy]):
        dy, dx = abs(world.food_row[copy, food] - y), abs(world.food_col[copy, food] - x)
        if (dy <= 1 and dx <= 1) or (dx == 0 and dy <= 2) or (dy == 0 and dx <= 2):
            return False
    for player in range(world.row.shape[1]):
        if world.row[copy, player] == y and world.col[copy, player] == x:
            return False
    return True


@inlined
def insert_food(world: World, copy: int, y: int, x: int, level: int) -> None:
    """Put a food into the list at its place in reading order."""
    row, col, levels = world.food_row[copy], world.food_col[copy], world.food_level[copy]
    place = world.foods[copy]
    while place > 0 and (row[place - 1] > y or (row[place - 1] == y and col[place - 1] > x)):
        row[place], col[place], levels[place] = row[place - 1], col[place - 1], levels[place - 1]
        place -= 1
    row[place], col[place], levels[place] = y, x, level
    world.foods[copy] += 1
    world.spawned[copy] += level


@inlined
def place_foods(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Put foods on the grid, never on the border; fewer than wanted if there is no room.

    Version 2 leaves the highest level out.
    """
    high = strongest_food(world, copy)
    low = high if rules.coop else 1
    if rules.version == 2 and not rules.coop:
        high -= 1
    world.foods[copy] = 0
    world.spawned[copy] = 0
    for _ in range(TRIES):
        if world.foods[copy] == world.food_row.shape[1]:
            break
        y = integer(buffers.key, buffers.counter, copy, 1, rules.rows - 2)
        x = integer(buffers.key, buffers.counter, copy, 1, rules.cols - 2)
        if fits(world, copy, y, x):
            insert_food(world, copy, y, x, integer(buffers.key, buffers.counter, copy, low, high))
