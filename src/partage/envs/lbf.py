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
from partage.sims.plain_state import array, as_json, from_json, generator
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
        partial(kernel, found, team, units),
        seeds,
        copies,
        chosen["time_limit"],
    )


# What changes in the package's environment, and is saved.
FIELDS = ("field", "food", "step", "over", "place", "level", "reward", "score", "generator")


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
        self._task, self._team, self._units = task, team, units
        self._env = simulator(task)
        self._env.reset(seed=0)  # nobody plays it: there is something to save from the start

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
        """Return the fields that change, the generator's among them, as JSON."""
        env, players = self._env, self._env.players
        return as_json(
            field=env.field,
            food=float(env._food_spawned),
            step=env.current_step,
            over=bool(env._game_over),
            place=np.array([player.position for player in players]),
            level=np.array([player.level for player in players]),
            reward=np.array([player.reward for player in players], float),
            score=np.array([player.score for player in players], float),
            generator=env.np_random.bit_generator.state,
        )

    def load(self, saved: bytes) -> None:
        """Go on from what `save` returned. Raises `UserError` for anything else."""
        state, env = from_json(saved, FIELDS), self._env
        count, cells = len(env.players), env.field.shape
        field = array("field", state["field"], cells, int)
        place = array("place", state["place"], (count, 2), int)
        if (place < 0).any() or (place >= cells).any():
            raise UserError(f"The saved players stand outside their field of {cells} cells.")
        level = array("level", state["level"], (count,), int)
        reward = array("reward", state["reward"], (count,), float)
        score = array("score", state["score"], (count,), float)
        env.np_random = generator(state["generator"])
        env.field = field.astype(env.field.dtype)
        env._food_spawned = array("food", state["food"], (), float)[()]
        env.current_step = int(array("step", state["step"], (), int))
        env._game_over = state["over"] is True
        for n, player in enumerate(env.players):
            player.setup(tuple(place[n]), level[n], cells)
            player.reward, player.score = float(reward[n]), float(score[n])
        env._gen_valid_moves()

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of: an environment of its own, and where this one is."""
        return Package, (self._task, self._team, self._units), self.save()

    def __setstate__(self, saved: bytes) -> None:
        self.load(saved)

    def close(self) -> None:
        """End the environment."""
        self._env.close()
