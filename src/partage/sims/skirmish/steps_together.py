"""Begin and advance a battle by the threads of a warp, and write what SMAC shows of it."""

from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Int64

from partage.sims.buffers import Buffers
from partage.sims.skirmish.actions import may_do, take_action
from partage.sims.skirmish.observations import write_last_action, write_slot, write_unit
from partage.sims.skirmish.rewards import begin_episode, pay
from partage.sims.skirmish.rules import LOOPS_PER_STEP, SETTLING
from partage.sims.skirmish.spawning import spawn, trade_places
from partage.sims.skirmish.together import LOOPS, run_loops_together
from partage.sims.skirmish.world import Rules
from partage.sims.warp import bound, lanes, wait


def clear_shown(buffers: Buffers, copy: int, lane: int) -> None:
    """Set observations and state to zero."""
    obs, state = buffers.obs[copy], buffers.state[copy]
    for agent in range(obs.shape[0]):
        for entry in range(lane, obs.shape[1], lanes()):
            obs[agent, entry] = 0
    for entry in range(lane, len(state), lanes()):
        state[entry] = 0


def show(rules: Rules, world: Any, buffers: Buffers, copy: int, lane: int) -> None:
    """Write observations, available actions, who lives, and the state."""
    units, n, n_units = world.units[copy], rules.n_agents, rules.n_agents + rules.n_enemies
    clear_shown(buffers, copy, lane)
    n_actions = buffers.avail_actions.shape[2]
    for pair in range(lane, n * n_actions, lanes()):
        agent, action = pair // n_actions, pair % n_actions
        buffers.avail_actions[copy, agent, action] = may_do(rules, units, agent, action)
    wait()
    for pair in range(lane, n * n_units, lanes()):
        agent, slot = pair // n_units, pair % n_units
        if units[agent].health > 0:
            available = buffers.avail_actions[copy, agent]
            write_slot(rules, units, buffers.obs[copy, agent], available, agent, slot)
    for slot in range(lane, n_units, lanes()):
        write_unit(rules, units, buffers.state[copy], slot)
    for agent in range(lane, n, lanes()):
        buffers.alive[copy, agent] = units[agent].health > 0
        write_last_action(rules, world, buffers.state[copy], copy, agent)


def begin_together(rules: Rules, world: Any, buffers: Buffers, copy: int, lane: int) -> None:
    """Begin a copy's battle."""
    units = world.units[copy]
    for slot in range(lane, len(units), lanes()):
        spawn(rules, units, slot)
        for beam in range(world.burns.shape[1]):
            world.burns[copy, beam, slot] = 0
    wait()
    if lane == 0:
        if not rules.keep_order:
            trade_places(rules, units, buffers, copy)
        world.loop[copy] = 0
    wait()
    run_loops_together(rules, world, buffers, copy, SETTLING, lane)
    if lane == 0:
        begin_episode(rules, world, copy)
    wait()
    show(rules, world, buffers, copy, lane)


def advance_together(
    rules: Rules,
    world: Any,
    buffers: Buffers,
    actions: Int64[np.ndarray, "C N"],
    copy: int,
    lane: int,
) -> None:
    """Advance a copy's battle by a step."""
    for agent in range(lane, rules.n_agents, lanes()):
        take_action(rules, world, copy, agent, actions[copy, agent])
    wait()
    run_loops_together(rules, world, buffers, copy, LOOPS_PER_STEP, lane)
    if lane == 0:
        pay(rules, world, buffers, copy)
    show(rules, world, buffers, copy, lane)


STEPS = (*LOOPS, clear_shown, show, begin_together, advance_together)


@cache
def battle(cuda: Any, number: int) -> tuple[Any, Any]:
    """Return what begins a battle and what advances it, as so many lanes of a card call them."""
    names = bound(cuda, STEPS, number)
    return names["begin_together"], names["advance_together"]
