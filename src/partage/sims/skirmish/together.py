"""Play a game loop of a battle by the threads of a warp, each for some of its units.

The rules are those that a CPU runs for one unit after the other, and what comes out is the same to
the last bit. What a unit does to itself alone all do at once. What others may see at once is done
in the order of slots: lanes vote who has something to do, and only those are gone through.

A side acts at once, as nobody on it sees in the same loop what the others of it do. That holds
where a side has no two healers, and no healer beside who explodes (`at_once`): on every map.
"""

from typing import Any

import numpy as np
from jaxtyping import Int64

from partage.sims.buffers import Buffers
from partage.sims.skirmish.attacks import begin_attack, jitter_ahead
from partage.sims.skirmish.beams import LAST_LOOP, advance_sweep, burn_one, sweeps
from partage.sims.skirmish.calls import call, hear
from partage.sims.skirmish.hits import arrives, catch, foe_slots, goes_off, land
from partage.sims.skirmish.moving_together import MOVING, all_move, all_separate
from partage.sims.skirmish.orders import carry_on, obey, think
from partage.sims.skirmish.recovery import recover_one
from partage.sims.skirmish.world import NOBODY, Rules, Units
from partage.sims.warp import count, lanes, lowest, told, votes, wait

Burns = Int64[np.ndarray, "B U"]


def at_once(rules: Rules) -> bool:
    """Return whether units of a side may act at once."""
    for side in (slice(None, rules.n_agents), slice(rules.n_agents, None)):
        healers, explode = int((rules.heals[side] > 0).sum()), bool((rules.blast[side] > 0).any())
        if healers > 1 or (healers and explode):
            return False
    return True


def side_acts(
    rules: Rules, units: Units, buffers: Buffers, copy: int, loop: int, side: int, lane: int
) -> None:
    """Let a side choose and act; those who begin an attack draw in the order of slots."""
    begin = side * rules.n_agents
    end = len(units) if side else rules.n_agents
    for first in range(begin, end, lanes()):
        slot = first + lane
        begins = False
        if slot < end and units[slot].health > 0:
            if side:
                think(rules, units, loop, slot)
            else:
                obey(rules, units, slot)
            begins = carry_on(rules, units, slot)
        who = votes(begins)
        if begins:
            jitter = jitter_ahead(buffers, copy, count(who & ((1 << lane) - 1)))
            begin_attack(rules, units, slot, units[slot].target, jitter)
        wait()
        if lane == 0:
            buffers.counter[copy] += np.uint64(count(who))
        wait()


def all_land(rules: Rules, units: Units, lane: int) -> None:
    """Land the hits and missiles that arrive in this loop, in the order of who sent them."""
    for first in range(0, len(units), lanes()):
        slot = first + lane
        landing = votes(slot < len(units) and arrives(rules, units, slot))
        while landing:
            if lane == 0:
                land(rules, units, first + lowest(landing))
            landing &= landing - 1
    wait()


def all_burn(rules: Rules, units: Units, burns: Burns, slot: int, lane: int) -> None:
    """Advance a unit's two beams by a loop."""
    begin, end = foe_slots(rules, slot)
    for half in range(2):
        for victim in range(begin + lane, end, lanes()):
            burn_one(rules, units, burns, slot, half, victim)
    if units[slot].sweep == LAST_LOOP:
        for victim in range(begin + lane, end, lanes()):
            for half in range(2):
                burns[2 * rules.traits[slot].beam + half, victim] = 0
    wait()
    if lane == 0:
        advance_sweep(units, slot)
    wait()


def all_sweep(rules: Rules, units: Units, burns: Burns, lane: int) -> None:
    """Advance all beams that are on by a loop."""
    for first in range(0, len(units), lanes()):
        slot = first + lane
        on = votes(slot < len(units) and sweeps(rules, units, slot))
        while on:
            all_burn(rules, units, burns, first + lowest(on), lane)
            on &= on - 1


def all_explode(rules: Rules, units: Units, lane: int) -> None:
    """Let those explode who died in this loop; whom that kills explodes too if its turn comes."""
    for first in range(0, len(units), lanes()):
        slot = first + lane
        going = votes(slot < len(units) and goes_off(rules, units, slot))
        while going:
            last = lowest(going)
            if lane == last:
                units[slot].exploded = True
            begin, end = foe_slots(rules, first + last)
            for victim in range(begin + lane, end, lanes()):
                catch(rules, units, first + last, victim)
            wait()
            going = votes(last < lane and slot < len(units) and goes_off(rules, units, slot))


def all_recover(rules: Rules, units: Units, lane: int) -> None:
    """Let everybody recover for one loop."""
    for slot in range(lane, len(units), lanes()):
        recover_one(rules, units, slot)
    wait()


def all_answer(rules: Rules, units: Units, lane: int) -> None:
    """Turn enemies hurt in this loop, and idle ones that they call, on whom they were hurt by."""
    for first in range(rules.n_agents, len(units), lanes()):
        slot = first + lane
        foe, heard = NOBODY, 0.0
        if slot < len(units):
            foe, heard = call(units, slot)
        calling = votes(foe != NOBODY)
        while calling:
            who = lowest(calling)
            calling &= calling - 1
            of_foe, far = told(foe, who), told(heard, who)
            for friend in range(rules.n_agents + lane, len(units), lanes()):
                hear(rules, units, first + who, friend, of_foe, far)
            wait()


def run_loops_together(
    rules: Rules, world: Any, buffers: Buffers, copy: int, loops: int, lane: int
) -> None:
    """Run that many game loops of one copy."""
    units, begun = world.units[copy], world.loop[copy]
    for loop in range(begun, begun + loops):
        for side in range(2):
            side_acts(rules, units, buffers, copy, loop, side, lane)
        all_move(rules, units, lane)
        all_separate(rules, units, lane)
        all_land(rules, units, lane)
        all_sweep(rules, units, world.burns[copy], lane)
        all_explode(rules, units, lane)
        all_recover(rules, units, lane)
        all_answer(rules, units, lane)
    if lane == 0:
        world.loop[copy] = begun + loops
    wait()


LOOPS = (  # each before those that call it
    side_acts,
    *MOVING,
    all_land,
    all_burn,
    all_sweep,
    all_explode,
    all_recover,
    all_answer,
    run_loops_together,
)
