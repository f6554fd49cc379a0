"""Level-based foraging as lbforaging 2.0.0 plays it; version 2 has the food levels of its 1.x.

Players walk a grid and load food together: a food of level f goes to the players that load next to
it if their levels sum to f or more. Then a player of level l among loaders of total level L earns l
f / (L F), where F sums the levels of all foods of the episode, so the players' returns sum to at
most 1. An episode ends with the last food, or after 50 steps.

An agent observes (row, column, level) of each food in reading order, then of each player, itself
first; what it does not see is (-1, -1, 0), in any units. With a limited sight k, coordinates count
from (row - k, column - k), cut off at the grid's edge. Foods are a list in reading order: eaten
ones are taken out, those behind them close up.
"""

import numpy as np
from jaxtyping import Bool, Float32, Int64

from partage.sims.buffers import Buffers
from partage.sims.compilation import compiled, inlined
from partage.sims.foraging.grid import Rules, Units, World, place_foods, place_players
from partage.sims.foraging.tasks import Task
from partage.sims.kernel import Kernel

NORTH, SOUTH, WEST, EAST, LOAD = 1, 2, 3, 4, 5


def kernel(task: Task, team: bool, units: Units, copies: int) -> Kernel:
    """Return the compiled simulator of that many copies."""
    rules = Rules(
        rows=task.rows,
        cols=task.cols,
        sight=task.sight,
        coop=task.coop,
        team=team,
        penalty=task.penalty,
        version=task.version,
        units=units,
    )

    def zeros(*shape: int) -> Int64[np.ndarray, "..."]:
        return np.zeros((copies, *shape), np.int64)

    players, foods = task.n_players, task.n_foods
    world = World(
        row=zeros(players) - 1,
        col=zeros(players) - 1,
        level=zeros(players),
        food_row=zeros(foods),
        food_col=zeros(foods),
        food_level=zeros(foods),
        foods=zeros(),
        spawned=zeros(),
        target=zeros(players),
        earned=np.zeros((copies, players)),
    )
    return Kernel(rules, world, begin, advance, begin_copy, advance_copy)


@inlined
def food_at(world: World, copy: int, y: int, x: int) -> int:
    """Return the number of the food on that cell, or -1."""
    for food in range(world.foods[copy]):
        if world.food_row[copy, food] == y and world.food_col[copy, food] == x:
            return food
    return -1


@inlined
def next_to(world: World, copy: int, player: int, food: int) -> bool:
    """Return whether the player stands beside the food."""
    dy = abs(world.row[copy, player] - world.food_row[copy, food])
    dx = abs(world.col[copy, player] - world.food_col[copy, food])
    return dy + dx == 1


@inlined
def walk(rules: Rules, world: World, actions: Int64[np.ndarray, "C P"], copy: int) -> None:
    """Move each player to the cell it wants, if that is no food and no other player wants it.

    Who stays wants its own cell. Nobody looks whether the player on the wanted cell did move: two
    can end up on one cell.
    """
    row, col, target = world.row[copy], world.col[copy], world.target[copy]
    for player in range(len(row)):
        y, x, action = row[player], col[player], actions[copy, player]
        if action == NORTH:
            y -= 1
        elif action == SOUTH:
            y += 1
        elif action == WEST:
            x -= 1
        elif action == EAST:
            x += 1
        inside = 0 <= y < rules.rows and 0 <= x < rules.cols
        if not inside or food_at(world, copy, y, x) >= 0:
            y, x = row[player], col[player]
        target[player] = y * rules.cols + x
    for player in range(len(row)):
        alone = True
        for other in range(len(row)):
            alone = alone and (other == player or target[other] != target[player])
        if alone:
            row[player], col[player] = target[player] // rules.cols, target[player] % rules.cols


@inlined
def eat(world: World, copy: int, food: int) -> None:
    """Take a food out of the list; those behind it close up."""
    row, col, level = world.food_row[copy], world.food_col[copy], world.food_level[copy]
    world.foods[copy] -= 1
    for place in range(food, world.foods[copy]):
        row[place], col[place], level[place] = row[place + 1], col[place + 1], level[place + 1]


@inlined
def load(rules: Rules, world: World, actions: Int64[np.ndarray, "C P"], copy: int) -> None:
    """Let all who load next to a food load it together; it is theirs if they are strong enough."""
    level, earned = world.level[copy], world.earned[copy]
    earned[:] = 0.0
    for food in range(world.foods[copy] - 1, -1, -1):  # those behind an eaten one move up
        strength = 0
        for player in range(len(level)):
            if actions[copy, player] == LOAD and next_to(world, copy, player, food):
                strength += level[player]
        worth = world.food_level[copy, food]
        for player in range(len(level)):
            if actions[copy, player] == LOAD and next_to(world, copy, player, food):
                if strength < worth:
                    earned[player] -= rules.penalty
                else:
                    earned[player] = level[player] * worth / (strength * world.spawned[copy])
        if strength >= worth:
            eat(world, copy, food)


@inlined
def pay(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Pay each its own or, as a team, everyone the sum.

    The score is the sum so far: the share of food eaten.
    """
    total = 0.0
    for earned in world.earned[copy]:
        total += earned
    for player in range(world.row.shape[1]):
        earned = total if rules.team else world.earned[copy, player]
        buffers.reward[copy, player] = earned * rules.units.reward
    buffers.score[copy] += np.float32(total)


@inlined
def put(
    rules: Rules, entries: Float32[np.ndarray, "O"], place: int, y: int, x: int, level: int
) -> None:
    """Write a place and a level in the task's units."""
    entries[place], entries[place + 1] = y / rules.units.length, x / rules.units.length
    entries[place + 2] = level / rules.units.level


@inlined
def observe(rules: Rules, world: World, buffers: Buffers, copy: int, player: int) -> None:
    """Write what this player sees.

    Others are seen a little further than foods where the grid's edge cuts off the view.
    """
    entries, sight, n_players = buffers.obs[copy, player], rules.sight, world.row.shape[1]
    row, col = world.row[copy], world.col[copy]
    top, left = max(row[player] - sight, 0), max(col[player] - sight, 0)
    place = 0
    for food in range(world.foods[copy]):
        y, x = world.food_row[copy, food], world.food_col[copy, food]
        if abs(y - row[player]) <= sight and abs(x - col[player]) <= sight:
            put(rules, entries, place, y - top, x - left, world.food_level[copy, food])
            place += 3
    first = len(entries) - 3 * n_players
    for absent in range(place, first, 3):
        entries[absent], entries[absent + 1], entries[absent + 2] = -1, -1, 0
    place = first
    for turn in range(n_players):  # itself, then the others in their order
        other = player if turn == 0 else (turn if turn > player else turn - 1)
        y, x = row[other] - top, col[other] - left
        if 0 <= y <= 2 * sight and 0 <= x <= 2 * sight:
            put(rules, entries, place, y, x, world.level[copy, other])
            place += 3
    for absent in range(place, len(entries), 3):
        entries[absent], entries[absent + 1], entries[absent + 2] = -1, -1, 0


@inlined
def begin_copy(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Start a copy's episode: players, then foods, at random places."""
    place_players(rules, world, buffers, copy)
    place_foods(rules, world, buffers, copy)
    for player in range(world.row.shape[1]):
        observe(rules, world, buffers, copy, player)


@inlined
def advance_copy(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C P"], copy: int
) -> None:
    """Move a copy by a step."""
    walk(rules, world, actions, copy)
    load(rules, world, actions, copy)
    pay(rules, world, buffers, copy)
    for player in range(world.row.shape[1]):
        observe(rules, world, buffers, copy, player)
    buffers.terminated[copy] = world.foods[copy] == 0


@compiled
def begin(rules: Rules, world: World, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
    """Start an episode in the copies marked."""
    for copy in range(len(where)):
        if where[copy]:
            begin_copy(rules, world, buffers, copy)


@compiled
def advance(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C P"]
) -> None:
    """Move the live copies by a step."""
    for copy in range(len(actions)):
        if buffers.live[copy]:
            advance_copy(rules, world, buffers, actions, copy)
