# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["mpe2==1.1.1", "pettingzoo==1.27.0"]
# ///
"""Particle spread: ``mpe/15a_3c`` and the other names of `sims.particles.tasks`.

The rules are in `sims.particles`. Rewards are each agent's own. Option ``time_limit`` says what the
last step is called (default and package: truncation). The score is the sum over agents of the
return so far, the papers' "team reward".
"""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from partage.config.pins import require
from partage.errors import one_of
from partage.sims.batch import Batched
from partage.sims.contract import Env
from partage.sims.devices import DEVICES, batched
from partage.sims.options import choose
from partage.sims.particles.spread import NEAR, kernel
from partage.sims.particles.tasks import Task, named
from partage.sims.plain_state import array, as_json, from_json, generator
from partage.sims.single import Instant, Singles


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "batched", **options: Any
) -> Env:
    """Return the copies of the task; engine "package" is mpe2 1.1.1, one per copy."""
    one_of("engine of mpe", engine, ["batched", "package"])
    devices = DEVICES if engine == "batched" else DEVICES[:1]
    chosen = choose(options, time_limit=("truncation", "terminal"), device=devices)
    found = named(task)
    if engine == "package":
        require(__file__)
        return Batched(
            found.spec,
            lambda n: Singles([Package(found) for _ in range(n)]),
            seeds,
            copies,
            chosen["time_limit"],
        )
    made = partial(kernel, found)
    return batched(chosen["device"], found.spec, made, seeds, copies, chosen["time_limit"])


def integrate_velocity_first(world: Any, p_force: Sequence[Any]) -> None:
    """Move the agents as MPE did before simple_spread_v3: the position by the new velocity."""
    for body, push in zip(world.agents, p_force, strict=False):
        body.state.p_vel = body.state.p_vel * (1 - world.damping) + push / body.mass * world.dt
        body.state.p_pos = body.state.p_pos + body.state.p_vel * world.dt


def distance(one: Any, other: Any) -> float:
    """Return the distance of two bodies."""
    return float(np.sqrt(np.sum(np.square(one.state.p_pos - other.state.p_pos))))


class Scenario:
    """A coloured task as a scenario of mpe2.

    It makes the world, starts an episode, observes and rewards.
    """

    def __init__(self, task: Task) -> None:
        self._task, self._orders = task, task.orders
        # of each agent, by its name
        self._colour = {f"agent_{n}": int(colour) for n, colour in enumerate(task.colours)}

    def make_world(self) -> Any:
        """Return a world with the task's agents and landmarks."""
        from mpe2._mpe_utils.core import Agent, Landmark, World

        world = World()
        world.dim_c = 2
        world.agents = [Agent() for _ in self._colour]
        for name, agent in zip(self._colour, world.agents, strict=True):
            agent.name, agent.collide, agent.silent, agent.size = name, False, True, 0.15
        world.landmarks = [Landmark() for _ in self._task.groups]
        for mark, landmark in enumerate(world.landmarks):
            landmark.name, landmark.collide, landmark.movable = f"landmark {mark}", False, False
        world.integrate_state = partial(integrate_velocity_first, world)
        return world

    def reset_world(self, world: Any, np_random: np.random.Generator) -> None:
        """Put the bodies at random places, at rest."""
        agents = [(agent, 1) for agent in world.agents]
        landmarks = [(landmark, 3) for landmark in world.landmarks]
        for body, reach in agents + landmarks:
            body.state.p_pos = np_random.uniform(-reach, reach, world.dim_p)
            body.state.p_vel = np.zeros(world.dim_p)
            body.state.c = np.zeros(world.dim_c)
            hue = self._colour.get(body.name, 0) / len(self._task.groups)
            body.color = np.array([hue, 0.4, 1 - hue])

    def global_reward(self, world: Any) -> float:
        """Return 0: these tasks have no common part."""
        return 0.0

    def reward(self, agent: Any, world: Any) -> float:
        """Return minus the distance to the landmark of the agent's colour, and its bonus."""
        colour = self._colour[agent.name]
        landmark = world.landmarks[colour]
        bonus = 0.0
        if self._task.hardened and distance(agent, landmark) < NEAR:
            fellows = [other for other in world.agents if self._colour[other.name] == colour]
            if all(distance(fellow, landmark) < NEAR for fellow in fellows):
                pairs = itertools.permutations(fellows, 2)
                bonus = sum(0.1 / (distance(a, b) + 0.05) for a, b in pairs) / len(fellows)
        return bonus - distance(agent, landmark)

    def observation(self, agent: Any, world: Any) -> np.ndarray:
        """Return velocity, position, landmarks relative to it, and the distance to its own."""
        colour = self._colour[agent.name]
        parts = [agent.state.p_vel, agent.state.p_pos]
        parts += [landmark.state.p_pos - agent.state.p_pos for landmark in world.landmarks]
        if self._task.hardened:
            parts.append(np.array([distance(agent, world.landmarks[colour])]))
        return np.concatenate(parts)[self._orders[colour]]

    def is_terminal(self, world: Any) -> bool:
        """Return False: only the clock ends an episode."""
        return False


def parallel(task: Task) -> Any:
    """Return the task as a PettingZoo parallel environment."""
    from mpe2 import simple_spread_v3
    from mpe2._mpe_utils.simple_env import SimpleEnv
    from pettingzoo.utils.conversions import aec_to_parallel

    if task.simple:
        return simple_spread_v3.parallel_env(
            N=task.n_agents, local_ratio=0.5, max_cycles=task.spec.horizon
        )
    scenario: Any = Scenario(task)
    return aec_to_parallel(
        SimpleEnv(scenario, scenario.make_world(), task.spec.horizon, local_ratio=0.5)
    )


class Package:
    """One copy in mpe2 (a `Single`)."""

    def __init__(self, task: Task) -> None:
        self._task, self._env = task, parallel(task)
        self._names = self._env.possible_agents
        self._inner = self._env.unwrapped

    def reset(self, seed: int | None) -> Instant:
        """Start an episode."""
        views, _ = self._env.reset(seed=seed)
        return self._instant(views, [0.0] * len(self._names))

    def step(self, actions: Sequence[int]) -> Instant:
        """Move by one step."""
        views, rewards, _, _, _ = self._env.step(dict(zip(self._names, actions, strict=True)))
        return self._instant(views, [float(rewards[name]) for name in self._names])

    def _instant(self, views: dict[str, Any], rewards: list[float]) -> Instant:
        obs = np.stack([views[name] for name in self._names])
        agents, landmarks = self._inner.world.agents, self._inner.world.landmarks
        places = [body.state.p_pos for body in agents]
        velocities = [body.state.p_vel for body in agents]
        marks = [body.state.p_pos for body in landmarks]
        state = np.concatenate([*places, *velocities, *marks], dtype=np.float32)
        return Instant(obs, state, rewards, sum(rewards), terminated=False)

    def save(self) -> bytes:
        """Return bodies, clock and generator, as JSON."""
        inner = self._inner
        bodies = [body.state for body in inner.world.entities]
        return as_json(
            place=np.stack([body.p_pos for body in bodies]),
            velocity=np.stack([body.p_vel for body in bodies]),
            step=inner.steps,
            generator=inner.np_random.bit_generator.state,
        )

    def load(self, saved: bytes) -> None:
        """Go on from what `save` returned. Raises `UserError` for anything else."""
        state, inner = from_json(saved, ("place", "velocity", "step", "generator")), self._inner
        bodies = inner.world.entities
        place = array("place", state["place"], (len(bodies), 2), float)
        velocity = array("velocity", state["velocity"], (len(bodies), 2), float)
        step = int(array("step", state["step"], (), int))
        np_random = generator(state["generator"])
        self._env.reset()
        for n, body in enumerate(bodies):
            body.state.p_pos, body.state.p_vel = place[n].copy(), velocity[n].copy()
        inner.steps, inner.np_random = step, np_random

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of: an environment of its own, and where this one is."""
        return Package, (self._task,), self.save()

    def __setstate__(self, saved: bytes) -> None:
        self.load(saved)

    def close(self) -> None:
        """End the environment."""
        self._env.close()
