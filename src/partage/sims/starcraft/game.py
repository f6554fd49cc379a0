"""Lead one game of StarCraft II through smacv2, as one copy of a task.

The game's state can be neither saved nor set, and it takes a seed only when it starts: a run that
stopped in the middle of an episode goes on with a new one, and a run cannot be repeated bit for
bit.

Loads no torch, and smacv2 only where a game is launched: in the worker processes of a `Pool`, one
for each copy. Without the game this is tested through smacv2 with a stand-in that speaks the game's
protocol. What only the game can tell: the size of the playable area (32 by 32 by the maps'
headers), whether all units are there at its first observation, and that its map starts the next
battle within two loops of the last unit's death, as `SmacV1Env` supposes.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from partage.errors import UserError
from partage.sims.single import Instant


class Supervision(NamedTuple):
    """Say how the game's processes are supervised."""

    timeout: int = 120  # s that a game may take to start, or to answer, before it counts as hung
    # steps after which it is launched anew, as its memory grows (DI-engine does the same)
    relaunch: int = 50_000
    # s between the launches of two games: many at once may not get through (pymarl #29)
    stagger: float = 1.0


class GameSetup(NamedTuple):
    """Say what is played, and how; called with a copy's number, make that copy's game.

    That call is what a `Pool` asks for.
    """

    map_name: str
    reward: Literal["v1", "v2"] = "v1"
    enemies: Literal["unsorted", "sorted"] = "unsorted"
    supervision: Supervision = Supervision()

    def __call__(self, copy: int) -> "Game":
        return Game(self)

    @property
    def task(self) -> str:
        """Return the name of what is played."""
        return f"smac/{self.map_name}"

    def environment(self, seed: int) -> Any:
        """Return smacv2's environment by the rules of version 1; its first reset starts a game."""
        from partage.sims.starcraft.smac_v1 import SmacV1Env

        return SmacV1Env(self.map_name, seed, self.reward, self.enemies)


class DrawnSetup(NamedTuple):
    """Say which armies are drawn, and how it is played; otherwise as `GameSetup`.

    Holds plain values: a worker process knows no scenarios.
    """

    army: str
    units: int  # on each side
    types: tuple[str, ...]
    weights: tuple[float, ...]
    never_alone: tuple[str, ...]
    reward: Literal["v2", "v1"] = "v2"
    supervision: Supervision = Supervision()

    def __call__(self, copy: int) -> "Game":
        return Game(self)

    @property
    def task(self) -> str:
        """Return the name of what is played."""
        return f"smacv2/{self.army}_{self.units}_vs_{self.units}"

    def environment(self, seed: int) -> Any:
        """Return smacv2's environment by its own rules; its first reset starts a game."""
        from partage.sims.starcraft.smac_v2 import SmacV2Env

        return SmacV2Env(self, seed)


class Game:
    """Play one copy in StarCraft II (a `Single`).

    An exception other than `UserError` means that the game is lost, and this object with it.
    """

    _env: Any

    def __init__(self, setup: GameSetup | DrawnSetup) -> None:
        self._setup = setup
        self._env = None
        self._available = np.zeros((0, 0), bool)

    def reset(self, seed: int | None) -> Instant:
        """Start an episode.

        The seed is the game's if one is to be launched; otherwise its own random numbers go on.
        """
        env = self._env
        if env is None or env._total_steps >= self._setup.supervision.relaunch:
            env = self._launch(seed or 0)
        obs, state = env.reset()
        self._dead_enemies = 0
        return self._instant(obs, state, reward=0.0, for_kills=0.0, won=False, over=False)

    def _launch(self, seed: int) -> Any:
        """Return a new environment, whose game starts with its first reset."""
        from absl.flags import FLAGS  # pyright: ignore[reportMissingImports]

        self.close()
        self._env = self._setup.environment(seed & 0xFFFF_FFFF)
        FLAGS.sc2_timeout = self._setup.supervision.timeout  # which pysc2 has named by now
        return self._env

    def step(self, actions: Sequence[int]) -> Instant:
        """Play a step of eight game loops. Raises `UserError` for an action not available."""
        env = self._env
        self._require_available(actions)
        reward, over, info = env.step(actions)
        if info.get("episode_limit", False):
            over = False  # the clock is not the battle's business
        killed = info["dead_enemies"] - self._dead_enemies
        self._dead_enemies = info["dead_enemies"]
        for_kills = env.reward_death_value * killed / (env.max_reward / env.reward_scale_rate)
        obs, state = env.get_obs(), env.get_state()
        return self._instant(obs, state, reward, for_kills, won=info["battle_won"], over=over)

    def _require_available(self, actions: Sequence[int]) -> None:
        """Raise `UserError` unless each agent has its action."""
        for agent, action in enumerate(actions):
            if not self._available[agent, action]:
                raise UserError(
                    f"Expected an available action, but agent {agent} of "
                    f"{self._setup.task} chose {action}."
                )

    def _instant(
        self, obs: Sequence[Any], state: Any, reward: float, for_kills: float, won: bool, over: bool
    ) -> Instant:
        """Return what the environment shows now; `reward` and `for_kills` are the team's."""
        env = self._env
        self._available = np.array(env.get_avail_actions(), bool)
        return Instant(
            obs=np.stack(obs),
            state=state,
            reward=[reward] * env.n_agents,
            gain=float(won),
            terminated=over,
            avail_actions=self._available,
            alive=np.array([env.agents[n].health > 0 for n in range(env.n_agents)]),
            feature=for_kills,
        )

    def save(self) -> bytes:
        """Return nothing: the game cannot be saved."""
        return b""

    def load(self, saved: bytes) -> None:
        """Raise `UserError`: the game cannot go on from what was saved."""
        raise UserError("StarCraft II cannot go on from a saved state: start a new episode.")

    def close(self) -> None:
        """End the game's process, if there is one."""
        if self._env is not None:
            env, self._env = self._env, None
            env.close()
