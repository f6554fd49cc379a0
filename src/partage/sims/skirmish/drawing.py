"""Draw a battle as smacv2 does: types by their weights, places mirrored or around the middle.

Half of the battles are mirrored: agents stand anywhere in the left half, enemies where a mirror in
the middle shows them. In the others agents stand in the middle, and enemies in one to four groups,
each somewhere on the way from a corner. Who finds no room on a spot stands as near as there is.
"""

import math
from typing import Any

from partage.sims.buffers import Buffers
from partage.sims.compilation import lean_inlined
from partage.sims.random_numbers import integer, uniform
from partage.sims.skirmish.armies import DrawnRules
from partage.sims.skirmish.ground import APART, FIRST, LAST, SIZE
from partage.sims.skirmish.world import AIR, STRIDER

MIRRORED = 0.5  # share of the battles
BUFFER = 1.0  # how far mirrored agents stay from the middle
CORNERS = 4
INNER = 2.0  # how far from the middle, along both axes, a group's way ends


@lean_inlined
def draw_type(drawn: DrawnRules, buffers: Buffers, copy: int) -> int:
    """Return a type, drawn by the army's weights."""
    share = uniform(buffers.key, buffers.counter, copy, 0.0, 1.0)
    kind = 0
    while kind < len(drawn.chance) - 1 and share >= drawn.chance[kind]:
        kind += 1
    return kind


@lean_inlined
def draw_types(drawn: DrawnRules, world: Any, buffers: Buffers, copy: int) -> None:
    """Draw an army that is not all of types that cannot win, and give it to both sides."""
    n = drawn.battle.n_agents
    complete = False
    while not complete:
        for slot in range(n):
            kind = draw_type(drawn, buffers, copy)
            world.kind[copy, slot] = kind
            world.kind[copy, n + slot] = kind
            complete = complete or drawn.suffices[kind]


@lean_inlined
def draw_mirrored(drawn: DrawnRules, world: Any, buffers: Buffers, copy: int) -> None:
    """Draw places in the left half for the agents, and mirror them for their enemies."""
    n = drawn.battle.n_agents
    for slot in range(n):
        x = uniform(buffers.key, buffers.counter, copy, 0.0, SIZE / 2 - BUFFER)
        y = uniform(buffers.key, buffers.counter, copy, 0.0, SIZE)
        world.spawn[copy, slot, 0], world.spawn[copy, slot, 1] = x, y
        world.spawn[copy, n + slot, 0], world.spawn[copy, n + slot, 1] = SIZE - x, y


@lean_inlined
def draw_surrounded(drawn: DrawnRules, world: Any, buffers: Buffers, copy: int) -> None:
    """Put agents in the middle, and draw groups of enemies on ways from the corners to it.

    A group's corner is one that no other has; each enemy is in any of them.
    """
    n = drawn.battle.n_agents
    groups = integer(buffers.key, buffers.counter, copy, 1, CORNERS)
    for slot in range(n):  # counted first: those of one group are side by side, as in smacv2
        world.spawn[copy, slot, 0], world.spawn[copy, slot, 1] = SIZE / 2, SIZE / 2
        world.spawn[copy, n + slot, 0] = integer(buffers.key, buffers.counter, copy, 0, groups - 1)
    placed = n
    free = CORNERS
    taken = 0  # a bit for each corner
    for group in range(groups):
        size = 0
        for slot in range(placed, 2 * n):
            if world.spawn[copy, slot, 0] == group:
                # bring it forward
                world.spawn[copy, slot, 0] = world.spawn[copy, placed + size, 0]
                size += 1
        corner = integer(buffers.key, buffers.counter, copy, 0, free - 1)
        place = 0
        while corner > 0 or taken & (1 << place):
            corner -= not taken & (1 << place)
            place += 1
        taken |= 1 << place
        free -= 1
        share = uniform(buffers.key, buffers.counter, copy, 0.0, 1.0)
        right, top = place // 2, place % 2
        x = share * (SIZE / 2 + INNER * (2 * right - 1)) + (1 - share) * SIZE * right
        y = share * (SIZE / 2 + INNER * (2 * top - 1)) + (1 - share) * SIZE * top
        for slot in range(placed, placed + size):
            world.spawn[copy, slot, 0], world.spawn[copy, slot, 1] = x, y
        placed += size


@lean_inlined
def carries(drawn: DrawnRules, kind: int, x: float, y: float) -> bool:
    """Return whether a unit of that type can stand there."""
    if not (FIRST <= x < LAST + 1 and FIRST <= y < LAST + 1):
        return False
    plane = drawn.types[kind].plane
    if plane == AIR:
        return True
    if plane == STRIDER:
        return drawn.battle.striding[int(y), int(x)]
    return drawn.battle.pathing[int(y), int(x)]


@lean_inlined
def is_free(drawn: DrawnRules, world: Any, copy: int, slot: int, x: float, y: float) -> bool:
    """Return whether a slot's body touches none of those that were placed before it."""
    own = drawn.types[world.kind[copy, slot]]
    for other in range(slot):
        traits = drawn.types[world.kind[copy, other]]
        dx = x - world.spawn[copy, other, 0]
        dy = y - world.spawn[copy, other, 1]
        near = math.sqrt(dx * dx + dy * dy) < own.body + traits.body + APART
        if near and traits.plane == own.plane:
            return False
    return True


@lean_inlined
def settle(drawn: DrawnRules, world: Any, copy: int) -> None:
    """Move each slot, in the order of creation, to the nearest place that it can stand on."""
    for slot in range(world.kind.shape[1]):
        for place in range(len(drawn.offsets)):
            x = world.spawn[copy, slot, 0] + drawn.offsets[place, 0]
            y = world.spawn[copy, slot, 1] + drawn.offsets[place, 1]
            stands = carries(drawn, world.kind[copy, slot], x, y)
            if stands and is_free(drawn, world, copy, slot, x, y):
                world.spawn[copy, slot, 0], world.spawn[copy, slot, 1] = x, y
                break


@lean_inlined
def comes_first(drawn: DrawnRules, world: Any, copy: int, one: int, other: int) -> bool:
    """Return whether SMAC numbers an agent before another: by unit type, x and y."""
    kind = drawn.types[world.kind[copy, one]].kind
    other_kind = drawn.types[world.kind[copy, other]].kind
    if kind != other_kind:
        return kind < other_kind
    for axis in range(2):
        if world.spawn[copy, one, axis] != world.spawn[copy, other, axis]:
            return world.spawn[copy, one, axis] < world.spawn[copy, other, axis]
    return False


@lean_inlined
def sort_agents(drawn: DrawnRules, world: Any, copy: int) -> None:
    """Number the agents as SMAC does; enemies keep the order of their creation."""
    kind, spawn = world.kind[copy], world.spawn[copy]
    for last in range(1, drawn.battle.n_agents):
        slot = last
        while slot > 0 and comes_first(drawn, world, copy, slot, slot - 1):
            kind[slot], kind[slot - 1] = kind[slot - 1], kind[slot]
            for axis in range(2):
                below = spawn[slot - 1, axis]
                spawn[slot - 1, axis] = spawn[slot, axis]
                spawn[slot, axis] = below
            slot -= 1


@lean_inlined
def draw_battle(drawn: DrawnRules, world: Any, buffers: Buffers, copy: int) -> None:
    """Draw types and places of all slots."""
    draw_types(drawn, world, buffers, copy)
    if uniform(buffers.key, buffers.counter, copy, 0.0, 1.0) > MIRRORED:
        draw_surrounded(drawn, world, buffers, copy)
    else:
        draw_mirrored(drawn, world, buffers, copy)
    settle(drawn, world, copy)
    sort_agents(drawn, world, copy)
