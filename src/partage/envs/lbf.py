# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["lbforaging==2.0.0"]
# ///
"""Level-based foraging: ``lbf/15x15-4p-5f-v2`` and all of that form, see `sims.foraging.tasks`.

A name is lbforaging's without ``Foraging-``, of any size (the package itself has no more than four
foods). Options: ``reward="team"`` gives everyone the sum of the players' rewards, ``"individual"``
its own; ``time_limit`` says what the 50th step is called (the package calls it a termination:
``"terminal"``); ``units="smac"`` has the scale on which SMAC shows and pays, where ``"package"``
has whole numbers. The score is the share of food eaten, in any units.
"""

import operator
import pickle
from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

from partage.config.pins import require
from partage.errors import UserError, one_of
from partage.sims.batch import Batched
from partage.sims.contract import Env
from partage.sims.foraging.grid import Units
from partage.sims.foraging.rules import kernel
from partage.sims.foraging.tasks import HORIZON, Task, named
from partage.sims.options import choose
from partage.sims.single import Instant, Singles


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "batched", **options: Any
) -> Env:
    """Return the copies of the task; engine "package" is lbforaging 2.0.0, one per copy."""
    one_of("engine of lbf", engine, ["batched", "package"])
    limits = ("truncation", "terminal")
    chosen = choose(
        options, reward=("team", "individual"), time_limit=limits, units=("package", "smac")
    )
    found, team = named(task), chosen["reward"] == "team"
    units = found.smac_units() if chosen["units"] == "smac" else Units()
    spec = found.spec(team)
    if engine == "package":
        require(__file__)
        if found.rows != found.cols:  # the package swaps the axes in its check of what it observes
            raise UserError(
                f"lbforaging 2.0.0 plays square fields only, got lbf/{task}: use engine='batched'."
            )
        return Batched(
            spec,
            lambda n: Singles([Package(found, team, units) for _ in range(n)]),
            seeds,
            copies,
            chosen["time_limit"],
        )
    return Batched(
        spec,
        lambda n: kernel(found, team, units, n),
        seeds,
        copies,
        chosen["time_limit"],
        state_is_obs=True,
    )


def weaker_food(env: Any, max_num_food: int, min_levels: Any, max_levels: Any) -> None:
    """Place food as the package does, without the highest level: version 2's levels."""
    type(env).spawn_food(env, max_num_food, min_levels, max_levels - 1)


def simulator(task: Task) -> Any:
    """Return the task as the package's own environment."""
    from lbforaging.foraging.environment import ForagingEnv

    env: Any = ForagingEnv(
        players=task.n_players,
        min_player_level=1,
        max_player_level=2,
        field_size=(task.rows, task.cols),
        min_food_level=1,
        max_food_level=None,
        max_num_food=task.n_foods,
        sight=task.sight,
        max_episode_steps=HORIZON,
        force_coop=task.coop,
        penalty=task.penalty,
    )
    if task.version == 2 and not task.coop:
        env.spawn_food = partial(weaker_food, env)
    return env


class Package:
    """One copy in lbforaging (a `Single`)."""

    def __init__(self, task: Task, team: bool, units: Units) -> None:
        self._team, self._units, self._env = team, units, simulator(task)

    def reset(self, seed: int | None) -> Instant:
        """Start an episode."""
        views, _ = self._env.reset(seed=seed)
        return self._instant(views, [0.0] * len(views))

    def step(self, actions: Sequence[int]) -> Instant:
        """Move by one step."""
        views, rewards, _, _, _ = self._env.step(list(actions))
        return self._instant(views, rewards)

    def _instant(self, views: Sequence[Any], rewards: Sequence[float]) -> Instant:
        entries = np.stack(views, dtype=np.float64).reshape(len(views), -1, 3)
        in_units = entries / (self._units.length, self._units.length, self._units.level)
        unseen = entries < 0
        obs = np.where(unseen, entries, in_units).reshape(len(views), -1)
        # in the players' order: `sum` compensates from Python 3.12 on
        total = reduce(operator.add, rewards, 0.0)
        earned = np.array([total] * len(rewards) if self._team else rewards)
        return Instant(
            obs=obs,
            state=obs.reshape(-1),
            reward=(earned * self._units.reward).tolist(),
            gain=total,
            terminated=not self._env.field.any(),
        )

    def save(self) -> bytes:
        """Return the package's own fields, its generator among them; `spawn_food` stays."""
        return pickle.dumps(
            {name: value for name, value in vars(self._env).items() if name != "spawn_food"}
        )

    def load(self, saved: bytes) -> None:
        """Go on from what `save` returned."""
        vars(self._env).update(pickle.loads(saved))

    def close(self) -> None:
        """End the environment."""
        self._env.close()
