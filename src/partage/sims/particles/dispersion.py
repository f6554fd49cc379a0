"""Dispersion, a scenario of VMAS: agents that start at one spot eat food that lies apart.

N agents start at rest at the origin, N foods lie uniform in [-1, 1]^2. A point mass of mass 1 is
pushed by a force of 1 along each axis; time step 0.1, damping 0.25, velocity first, and walls at -1
and 1. Nobody collides. Food is eaten by the first to come nearer than the sum of both radii: the
team earns 1, or each of the k that came at once 1 / k. The episode ends when all is eaten.

An agent observes its position and velocity, and of each food the way to it and whether it is eaten.
Agents see the same at the start, so those that share a deterministic policy stay together: a roll
call in the plane. The state is all positions, velocities, foods and what is eaten.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from partage.sims.buffers import Buffers
from partage.sims.compilation import compiled, inlined
from partage.sims.kernel import Kernel
from partage.sims.random_numbers import uniform
from partage.sims.spec import Spec

DT, DAMPING = 0.1, 0.25
AGENT_RADIUS, REACH = 0.035, 1.0  # of an agent's body; half the width of the world
N_ACTIONS, N_PUSHES = 9, 3  # 3 x + y: along each axis none, down, up
HORIZON = 100
OF_SELF, OF_FOOD = 4, 3  # entries of an observation
WAITING = -0.01  # what a step without a reward costs where `waiting_costs`


class Rules(NamedTuple):
    """A task's constants."""

    radius: float  # of agent and food: how near a food is eaten
    common_reward: bool
    waiting_costs: bool


class World(NamedTuple):
    """What changes, one row per copy; there are as many foods F as agents."""

    position: Float64[np.ndarray, "C N 2"]
    velocity: Float64[np.ndarray, "C N 2"]
    food: Float64[np.ndarray, "C F 2"]
    eaten: Bool[np.ndarray, "C F"]


def spec(n_agents: int, common_reward: bool) -> Spec:
    """Return the sizes of the task with that many agents and foods."""
    return Spec(
        n_agents=n_agents,
        n_actions=N_ACTIONS,
        obs_dim=OF_SELF + OF_FOOD * n_agents,
        state_dim=(OF_SELF + OF_FOOD) * n_agents,
        horizon=HORIZON,
        common_reward=common_reward,
    )


def kernel(
    n_agents: int, food_radius: float, common_reward: bool, waiting_costs: bool, copies: int
) -> Kernel:
    """Return the compiled simulator of that many copies."""
    rules = Rules(AGENT_RADIUS + food_radius, common_reward, waiting_costs)
    world = World(
        position=np.zeros((copies, n_agents, 2)),
        velocity=np.zeros((copies, n_agents, 2)),
        food=np.zeros((copies, n_agents, 2)),
        eaten=np.zeros((copies, n_agents), bool),
    )
    return Kernel(rules, world, begin, advance)


@inlined
def push(number: int) -> int:
    """Return the force along an axis that an action's part of it means."""
    return (number == 2) - (number == 1)


@inlined
def move(world: World, actions: Int64[np.ndarray, "C N"], copy: int) -> None:
    """Move the agents by one step of time, up to the walls."""
    for n in range(actions.shape[1]):
        for axis in range(2):
            part = actions[copy, n] % N_PUSHES if axis else actions[copy, n] // N_PUSHES
            speed = world.velocity[copy, n, axis] * (1 - DAMPING) + push(part) * DT
            place = world.position[copy, n, axis] + speed * DT
            world.velocity[copy, n, axis] = speed
            world.position[copy, n, axis] = min(max(place, -REACH), REACH)


@inlined
def is_on(rules: Rules, world: World, copy: int, n: int, food: int) -> bool:
    """Return whether an agent touches a food."""
    dx = world.position[copy, n, 0] - world.food[copy, food, 0]
    dy = world.position[copy, n, 1] - world.food[copy, food, 1]
    return np.sqrt(dx * dx + dy * dy) < rules.radius


@inlined
def eat(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Eat what is touched, and pay for it."""
    reward = buffers.reward[copy]
    n_agents = len(reward)
    reward[:] = 0
    for food in range(n_agents):
        on_it = 0
        for n in range(n_agents):
            on_it += is_on(rules, world, copy, n, food)
        if on_it == 0 or world.eaten[copy, food]:
            continue
        world.eaten[copy, food] = True
        for n in range(n_agents):
            if rules.common_reward:
                reward[n] += 1
            elif is_on(rules, world, copy, n, food):
                reward[n] += 1 / on_it
    if rules.waiting_costs:
        for n in range(n_agents):
            if reward[n] == 0:
                reward[n] = WAITING


@inlined
def observe(world: World, buffers: Buffers, copy: int) -> None:
    """Write the observations, and the state: positions, velocities, foods, what is eaten."""
    state, obs = buffers.state[copy], buffers.obs[copy]
    n_agents = len(obs)
    for n in range(n_agents):
        for axis in range(2):
            place, speed = world.position[copy, n, axis], world.velocity[copy, n, axis]
            obs[n, axis], obs[n, 2 + axis] = place, speed
            state[2 * n + axis], state[2 * (n_agents + n) + axis] = place, speed
            state[2 * (2 * n_agents + n) + axis] = world.food[copy, n, axis]
            for food in range(n_agents):
                entry = OF_SELF + OF_FOOD * food
                obs[n, entry + axis] = world.food[copy, food, axis] - place
        for food in range(n_agents):
            obs[n, OF_SELF + OF_FOOD * food + 2] = world.eaten[copy, food]
        state[6 * n_agents + n] = world.eaten[copy, n]


@compiled
def begin(rules: Rules, world: World, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
    """Start an episode in the copies marked."""
    for copy in range(len(where)):
        if where[copy]:
            world.position[copy] = 0
            world.velocity[copy] = 0
            world.eaten[copy] = False
            for food in range(world.food.shape[1]):
                for axis in range(2):
                    world.food[copy, food, axis] = uniform(
                        buffers.key, buffers.counter, copy, -REACH, REACH
                    )
            observe(world, buffers, copy)


@compiled
def advance(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"]
) -> None:
    """Move the live copies by a step."""
    for copy in range(len(actions)):
        if buffers.live[copy]:
            move(world, actions, copy)
            eat(rules, world, buffers, copy)
            total = 0.0
            for reward in buffers.reward[copy]:
                total += reward
            if rules.common_reward:
                total = buffers.reward[copy, 0]
            buffers.score[copy] += np.float32(total)
            buffers.terminated[copy] = world.eaten[copy].all()
            observe(world, buffers, copy)
