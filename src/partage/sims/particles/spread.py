"""Particle spread: agents of several colours look for their colour's landmark.

mpe2's simple_spread_v3 is played here as well. A point mass of mass 1 is pushed by a force of 5
along an axis; time step 0.1, damping 0.25. Agents start uniform in [-1, 1]^2 at rest. In the
coloured tasks (SePS authors' scenarios, hardened by the MDPS authors; episodes of 50 steps)
velocity moves first, nobody collides, landmarks lie uniform in [-3, 3]^2, and agent i of colour g
earns

    r_i = 0.5 (-|p_i - l_g| + B_g),    B_g = 1/n_g * sum over a != b of 0.1 / (|p_a - p_b| + 0.05)

with B_g only while all n_g agents of the colour are within 0.15 of their landmark. An agent
observes velocity, position, all landmarks relative to itself, and the distance to its own. In
simple_spread_v3 (25 steps) position moves first by the old velocity, landmarks lie in [-1, 1]^2,
agents push each other apart, and agent i earns half of minus the sum over landmarks of the nearest
agent's distance, and half of -1 for each agent it touches.

State for mixers: all positions, velocities and landmarks (a colour is an agent's place in the
order, so it is left out). Arithmetic is float64 in the packages' order of operations; observations
are rounded to float32 at the end.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from partage.sims.buffers import Buffers
from partage.sims.compilation import compiled, inlined
from partage.sims.kernel import Kernel
from partage.sims.particles import simple_spread
from partage.sims.particles.simple_spread import gap
from partage.sims.particles.tasks import Task
from partage.sims.random_numbers import uniform

DT, DAMPING, FORCE = 0.1, 0.25, 5.0
NEAR = 0.15  # distance from its landmark at which an agent has arrived
LOCAL = 0.5  # the coloured scenarios keep MPE's weight of an agent's own part, with no common part


class Rules(NamedTuple):
    """A task's constants."""

    colour: Int64[np.ndarray, "N"]
    size: Int64[np.ndarray, "G"]  # agents of each colour
    # place k of a colour's observation shows entry order[colour, k] ...
    order: Int64[np.ndarray, "G O"]
    shuffled: bool  # ... which is k itself unless the task is shuffled
    reach: float  # landmarks lie in [-reach, reach]^2
    simple: bool  # see `Task`
    hardened: bool


class World(NamedTuple):
    """What changes, one row per copy."""

    position: Float64[np.ndarray, "C N 2"]
    velocity: Float64[np.ndarray, "C N 2"]
    landmark: Float64[np.ndarray, "C L 2"]
    distance: Float64[np.ndarray, "C N"]  # to the own landmark (coloured tasks)
    force: Float64[np.ndarray, "C N 2"]  # scratch: what pushes an agent in this step


def kernel(task: Task, copies: int) -> Kernel:
    """Return the compiled simulator of that many copies."""
    rules = Rules(
        colour=task.colours,
        size=np.array(task.groups),
        order=task.orders,
        shuffled=task.shuffled,
        reach=1.0 if task.simple else 3.0,
        simple=task.simple,
        hardened=task.hardened,
    )
    world = World(
        position=np.zeros((copies, task.n_agents, 2)),
        velocity=np.zeros((copies, task.n_agents, 2)),
        landmark=np.zeros((copies, task.n_landmarks, 2)),
        distance=np.zeros((copies, task.n_agents)),
        force=np.zeros((copies, task.n_agents, 2)),
    )
    return Kernel(rules, world, begin, advance, begin_copy, advance_copy)


@inlined
def move(rules: Rules, world: World, actions: Int64[np.ndarray, "C N"], copy: int) -> None:
    """Move the agents by one step of time.

    The two integrations differ only in when the position moves.
    """
    position, velocity, force = world.position[copy], world.velocity[copy], world.force[copy]
    for n in range(len(position)):
        action = actions[copy, n]
        force[n, 0] = FORCE * ((action == 2) - (action == 1))
        force[n, 1] = FORCE * ((action == 4) - (action == 3))
    if rules.simple:
        simple_spread.push(force, position)
    for n in range(len(position)):
        for axis in range(2):
            if rules.simple:
                position[n, axis] += velocity[n, axis] * DT
            velocity[n, axis] = velocity[n, axis] * (1 - DAMPING) + force[n, axis] * DT
            if not rules.simple:
                position[n, axis] += velocity[n, axis] * DT


@inlined
def measure(rules: Rules, world: World, copy: int) -> None:
    """Write the distance of each agent to the landmark of its colour."""
    for n in range(len(rules.colour)):
        world.distance[copy, n] = gap(
            world.position[copy, n], world.landmark[copy, rules.colour[n]]
        )


@inlined
def bonus(position: Float64[np.ndarray, "n 2"]) -> float:
    """Return what each agent of a colour gets, before halving, when all of it have arrived."""
    total = 0.0
    for a in range(len(position)):
        for b in range(len(position)):
            if a != b:
                total += 0.1 / (gap(position[a], position[b]) + 0.05)
    return total / len(position)


@inlined
def earn_coloured(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Pay minus the own distance, and what the whole colour earns for having arrived."""
    distance, reward = world.distance[copy], buffers.reward[copy]
    first = 0
    for size in rules.size:
        last = first + size
        arrived = rules.hardened
        for n in range(first, last):
            arrived = arrived and distance[n] < NEAR
        extra = bonus(world.position[copy, first:last]) if arrived else 0.0
        for n in range(first, last):
            reward[n] = LOCAL * (extra - distance[n])
        first = last


@inlined
def observe_coloured(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Write velocity, position, all landmarks relative to the agent, the distance to its own."""
    position, velocity, landmark = world.position[copy], world.velocity[copy], world.landmark[copy]
    for n in range(len(position)):
        row, x, y = buffers.obs[copy, n], position[n, 0], position[n, 1]
        row[0], row[1], row[2], row[3] = velocity[n, 0], velocity[n, 1], x, y
        # both axes in one turn: loops over two axes cost three times as much
        for mark in range(len(landmark)):
            row[4 + 2 * mark] = landmark[mark, 0] - x
            row[5 + 2 * mark] = landmark[mark, 1] - y
        if rules.hardened:
            row[4 + 2 * len(landmark)] = world.distance[copy, n]


@inlined
def entry(world: World, copy: int, n: int, place: int) -> float:
    """Return what stands at a place of an agent's observation before it is shuffled."""
    if place < 2:
        return world.velocity[copy, n, place]
    if place < 4:
        return world.position[copy, n, place - 2]
    mark, axis = (place - 4) // 2, place % 2
    if mark < world.landmark.shape[1]:
        return world.landmark[copy, mark, axis] - world.position[copy, n, axis]
    return world.distance[copy, n]


@inlined
def observe_shuffled(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Write what `observe_coloured` writes, in the order of each agent's colour."""
    for n in range(len(rules.colour)):
        order = rules.order[rules.colour[n]]
        for place in range(len(order)):
            buffers.obs[copy, n, place] = entry(world, copy, n, order[place])


@inlined
def observe(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Write the observations, and the state: positions, velocities, landmarks."""
    if rules.simple:
        simple_spread.observe(
            world.position[copy], world.velocity[copy], world.landmark[copy], buffers.obs[copy]
        )
    elif rules.shuffled:
        observe_shuffled(rules, world, buffers, copy)
    else:
        observe_coloured(rules, world, buffers, copy)
    state, n_agents = buffers.state[copy], world.position.shape[1]
    for n in range(n_agents):
        state[2 * n], state[2 * n + 1] = world.position[copy, n, 0], world.position[copy, n, 1]
        moving = 2 * (n_agents + n)
        state[moving], state[moving + 1] = world.velocity[copy, n, 0], world.velocity[copy, n, 1]
    for mark in range(world.landmark.shape[1]):
        place = 2 * (2 * n_agents + mark)
        state[place], state[place + 1] = (
            world.landmark[copy, mark, 0],
            world.landmark[copy, mark, 1],
        )


@inlined
def scatter(buffers: Buffers, copy: int, places: Float64[np.ndarray, "P 2"], reach: float) -> None:
    """Draw places, uniform in [-reach, reach]^2."""
    for n in range(len(places)):
        for axis in range(2):
            places[n, axis] = uniform(buffers.key, buffers.counter, copy, -reach, reach)


@inlined
def begin_copy(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Start a copy's episode: agents at rest and landmarks at random places."""
    world.velocity[copy] = 0
    scatter(buffers, copy, world.position[copy], 1.0)
    scatter(buffers, copy, world.landmark[copy], rules.reach)
    if not rules.simple:
        measure(rules, world, copy)
    observe(rules, world, buffers, copy)


@inlined
def advance_copy(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"], copy: int
) -> None:
    """Move a copy by a step."""
    move(rules, world, actions, copy)
    if rules.simple:
        simple_spread.earn(world.position[copy], world.landmark[copy], buffers.reward[copy])
    else:
        measure(rules, world, copy)
        earn_coloured(rules, world, buffers, copy)
    observe(rules, world, buffers, copy)
    total = 0.0
    for reward in buffers.reward[copy]:
        total += reward
    buffers.score[copy] += np.float32(total)


@compiled
def begin(rules: Rules, world: World, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
    """Start an episode in the copies marked."""
    for copy in range(len(where)):
        if where[copy]:
            begin_copy(rules, world, buffers, copy)


@compiled
def advance(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"]
) -> None:
    """Move the live copies by a step."""
    for copy in range(len(actions)):
        if buffers.live[copy]:
            advance_copy(rules, world, buffers, actions, copy)
