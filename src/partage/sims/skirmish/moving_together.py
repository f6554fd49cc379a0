"""Move the bodies of a battle by the threads of a warp: `motion` and `bodies`, to the last bit.

One body moves after the other, as each may be in the next one's way. While one walks, all lanes
look at once at those who might be in its own.
"""

from partage.sims.skirmish.bodies import PASSES, TOLERANCE, is_open, push_apart
from partage.sims.skirmish.motion import (
    PATIENCE,
    TURNS,
    advance_flyer,
    blocks,
    could_touch,
    heading,
    turn,
)
from partage.sims.skirmish.world import Rules, Units
from partage.sims.warp import lanes, lowest, told, votes, wait


def is_free(
    rules: Rules, units: Units, slot: int, near: int, dx: float, dy: float, lane: int
) -> bool:
    """Return whether a step stays on open ground and nobody near blocks it (`near`: a bit each)."""
    if not is_open(rules, slot, units[slot].x + dx, units[slot].y + dy):
        return False
    hit = False
    others = near
    while others:
        other = lowest(others) * lanes() + lane
        others &= others - 1
        hit = hit or blocks(rules, units, slot, other, dx, dy)
    return votes(hit) == 0


def step_aside_of(
    rules: Rules, units: Units, slot: int, near: int, dx: float, dy: float, lane: int
) -> bool:
    """Try the turns on the unit's side, then on the other; return whether it went."""
    side = units[slot].side
    for _ in range(2):
        x, y = dx, dy
        for _ in range(TURNS):
            x, y = turn(x, y, side)
            if is_free(rules, units, slot, near, x, y, lane):
                if lane == 0:
                    units[slot].x += x
                    units[slot].y += y
                    units[slot].side = side
                return True
        side = -side
    return False


def step_of(rules: Rules, units: Units, slot: int, dx: float, dy: float, lane: int) -> None:
    """Let a walker take its step, or turn aside."""
    near = 0
    for first in range(0, len(units), lanes()):
        other = first + lane
        if other < len(units) and could_touch(rules, units, slot, other):
            near |= 1 << (first // lanes())
    if is_free(rules, units, slot, near, dx, dy, lane):
        if lane == 0:
            units[slot].x += dx
            units[slot].y += dy
    elif not step_aside_of(rules, units, slot, near, dx, dy, lane) and lane == 0:
        units[slot].stride = 0
        units[slot].waiting = PATIENCE


def stand(units: Units, slot: int) -> None:
    """Let a unit stay, and wait for a loop less if it waits."""
    units[slot].stride = 0
    if units[slot].waiting > 0:
        units[slot].waiting -= 1


def all_move(rules: Rules, units: Units, lane: int) -> None:
    """Move everybody by this loop's step."""
    for first in range(0, len(units), lanes()):
        slot = first + lane
        flies = walks = stands = False
        dx = dy = 0.0
        if slot < len(units) and units[slot].health > 0:
            flies = rules.traits[slot].acceleration > 0
            waits = units[slot].waiting > 0
            if not flies and (waits or units[slot].stride > 0):
                if not waits:
                    walks, dx, dy = heading(rules, units, slot)
                stands = not walks
        if flies:
            advance_flyer(rules, units, slot)  # none touches another
        walkers = votes(walks)
        moving = walkers | votes(stands)
        while moving:
            who = lowest(moving)
            moving &= moving - 1
            if walkers >> who & 1:
                step_of(rules, units, first + who, told(dx, who), told(dy, who), lane)
            elif lane == who:
                stand(units, slot)
            wait()


def pushed_deeply(rules: Rules, units: Units, lane: int) -> bool:
    """Push all bodies apart once; return whether some overlapped by more than may stay.

    A CPU goes through the pairs (a, b < a) in the order of a, then of b. Those of one sum a + b
    have no body in common, and of two pairs that have one the later has the greater sum: so all of
    one sum are pushed at once, and what comes out is the same.
    """
    deepest = 0.0
    for both in range(1, 2 * len(units) - 2):
        first = max(0, both - len(units) + 1)
        for b in range(first + lane, (both + 1) // 2, lanes()):
            if units[both - b].health > 0:
                deepest = max(deepest, push_apart(rules, units, both - b, b))
        wait()
    return votes(deepest >= TOLERANCE) != 0


def all_separate(rules: Rules, units: Units, lane: int) -> None:
    """Push all bodies apart, again while some overlap."""
    for _ in range(PASSES):
        if not pushed_deeply(rules, units, lane):
            break


MOVING = (  # each before those that call it
    is_free,
    step_aside_of,
    step_of,
    stand,
    all_move,
    pushed_deeply,
    all_separate,
)
