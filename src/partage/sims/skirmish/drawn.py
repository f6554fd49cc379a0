"""Simulate smacv2's battles: types and places are drawn anew for each, both sides alike.

The battle itself is that of `simulator`, its rules those of this one's units. What differs from
SMAC v1: agents see and reach as far as their type does, know where on the map they are, and enemies
that have nothing to do are ordered to attack the nearest agent, every half second, as the game's
map has it. docs/skirmish.md says where it departs from smacv2.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from partage.sims.buffers import Buffers
from partage.sims.compilation import lean, lean_inlined
from partage.sims.kernel import Kernel
from partage.sims.skirmish.actions import give_orders
from partage.sims.skirmish.armies import DrawnRules, Scenario, make_drawn_rules
from partage.sims.skirmish.calls import take_up
from partage.sims.skirmish.drawing import draw_battle
from partage.sims.skirmish.hits import squared_distance
from partage.sims.skirmish.observations import observe
from partage.sims.skirmish.rewards import DEATH, VICTORY, begin_episode, pay
from partage.sims.skirmish.rules import LOOPS_PER_STEP, SETTLING
from partage.sims.skirmish.simulator import run_loops
from partage.sims.skirmish.spawning import spawn
from partage.sims.skirmish.world import ATTACK, NOBODY, STOP, TRAITS, UNIT, Rules, field


class DrawnWorld(NamedTuple):
    """Hold all copies' battles: what `World` holds, and what was drawn for each."""

    units: Any  # [C, U] of UNIT
    burns: Int64[np.ndarray, "C B U"]
    loop: Int64[np.ndarray, "C"]
    before: Float64[np.ndarray, "C E"]
    last_action: Int64[np.ndarray, "C N"]
    kind: Int64[np.ndarray, "C U"]  # place of a slot's type among its army's
    spawn: Float64[np.ndarray, "C U 2"]  # where it starts
    traits: Any  # [C, U] of TRAITS
    damage: Float64[np.ndarray, "C U U"]
    max_reward: Float64[np.ndarray, "C"]

    def __getattr__(self, name: str) -> Any:
        return field(self.units, name)


def make_drawn_kernel(scenario: Scenario, ignore_recovery: bool, copies: int) -> Kernel:
    """Return the compiled simulator of that many copies."""
    n = scenario.units
    world = DrawnWorld(
        units=np.zeros((copies, 2 * n), UNIT),
        burns=np.zeros((copies, 4 * n, 2 * n), np.int64),  # two beams, should all have them
        loop=np.zeros(copies, np.int64),
        before=np.zeros((copies, n)),
        last_action=np.zeros((copies, n), np.int64),
        kind=np.zeros((copies, 2 * n), np.int64),
        spawn=np.zeros((copies, 2 * n, 2)),
        traits=np.zeros((copies, 2 * n), TRAITS),
        damage=np.zeros((copies, 2 * n, 2 * n)),
        max_reward=np.zeros(copies),
    )
    return Kernel(make_drawn_rules(scenario, ignore_recovery), world, begin, advance)


@lean_inlined
def rules_of(rules: Rules, world: DrawnWorld, copy: int) -> Rules:
    """Return the rules of a copy's battle: a scenario's, with what was drawn in its place."""
    return Rules(
        rules.n_agents,
        rules.n_enemies,
        rules.centre_x,
        rules.centre_y,
        rules.width,
        rules.height,
        rules.n_bits,
        rules.shows_ally_shield,
        rules.shows_enemy_shield,
        world.max_reward[copy],
        rules.ignore_recovery,
        rules.energy_max,
        world.traits[copy],
        world.damage[copy],
        rules.goal_x,
        rules.goal_y,
        rules.prey,
        rules.keep_order,
        rules.pathing,
        rules.striding,
        rules.level,
        rules.stop,
        rules.way,
        rules.stop_x,
        rules.stop_y,
        rules.shows_own_place,
    )


@lean_inlined
def arm(drawn: DrawnRules, world: DrawnWorld, copy: int) -> None:
    """Give each slot the constants of its type, where it starts, and what a battle won pays."""
    n_units = world.kind.shape[1]
    n_agents = drawn.battle.n_agents
    beams = 0
    world.max_reward[copy] = VICTORY
    for slot in range(n_units):
        kind = world.kind[copy, slot]
        world.traits[copy, slot] = drawn.types[kind]
        traits = world.traits[copy, slot]
        traits.spawn_x = world.spawn[copy, slot, 0]
        traits.spawn_y = world.spawn[copy, slot, 1]
        if traits.beam >= 0:
            traits.beam = beams
            beams += 1
        for other in range(n_units):
            world.damage[copy, slot, other] = drawn.damage[kind, world.kind[copy, other]]
        if slot >= n_agents:
            world.max_reward[copy] += DEATH + traits.health_max + traits.shield_max


@lean_inlined
def order_idle(rules: Rules, units: Any) -> None:
    """Order each enemy that has nothing to do to attack the nearest agent; a healer stays."""
    for slot in range(rules.n_agents, len(units)):
        unit = units[slot]
        idle = unit.order == STOP and unit.target == NOBODY
        if unit.health <= 0 or not idle or rules.traits[slot].heals:
            continue
        nearest = NOBODY
        for agent in range(rules.n_agents):
            if units[agent].health > 0:
                square = squared_distance(units, slot, agent)
                if nearest == NOBODY or square < squared_distance(units, slot, nearest):
                    nearest = agent
        if nearest != NOBODY:
            unit.order = ATTACK
            take_up(units, slot, nearest)


@lean
def start(drawn: DrawnRules, world: DrawnWorld, copy: int) -> None:
    """Create the units that were drawn, where they were; all are idle."""
    arm(drawn, world, copy)
    rules = rules_of(drawn.battle, world, copy)
    units = world.units[copy]
    for slot in range(len(units)):
        spawn(rules, units, slot)
        units[slot].order = STOP
    world.burns[copy] = 0
    world.loop[copy] = 0


@lean
def begin(
    drawn: DrawnRules, world: DrawnWorld, buffers: Buffers, where: Bool[np.ndarray, "C"]
) -> None:
    """Draw and begin the battles marked."""
    for copy in range(len(where)):
        if where[copy]:
            draw_battle(drawn, world, buffers, copy)
            start(drawn, world, copy)
            rules = rules_of(drawn.battle, world, copy)
            run_loops(rules, world, buffers, copy, SETTLING)
            begin_episode(rules, world, copy)
            observe(rules, world, buffers, copy)


@lean
def advance(
    drawn: DrawnRules, world: DrawnWorld, buffers: Buffers, actions: Int64[np.ndarray, "C N"]
) -> None:
    """Advance all battles that are going on by a step."""
    for copy in range(len(actions)):
        if buffers.live[copy]:
            rules = rules_of(drawn.battle, world, copy)
            order_idle(rules, world.units[copy])
            give_orders(rules, world, actions, copy)
            run_loops(rules, world, buffers, copy, LOOPS_PER_STEP)
            pay(rules, world, buffers, copy)
            observe(rules, world, buffers, copy)
