"""StarCraft II itself behind SMAC v1's contract: one game per copy, launched and led through smacv2
and pysc2.

The game is Blizzard's, cannot be installed by a package, and must be the version that results are
compared in. Its state can be neither saved nor set, and it takes a seed only when it starts: a run
that stopped in the middle of an episode goes on with a new one, and a run cannot be repeated bit
for bit.

Loads no torch, and smacv2 only where a game is launched: in the worker processes of a `Pool`, one
for each copy. Without the game this is tested through smacv2 with a stand-in that speaks the game's
protocol. What only the game can tell: the size of the playable area (32 by 32 by the maps'
headers), whether all units are there at its first observation, and that its map starts the next
battle within two loops of the last unit's death, as `V1` supposes.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from partage.config.pins import pins
from partage.errors import UserError
from partage.sims.single import Instant

VERSION, BUILD = "4.10", "Base75689"
# sha256 of smacv2's starcraft2.py
RULES = "b7d81ddd20d2213f5af5b00266210b46bb78b0bd6534eb6f6e2751d0600d53fa"
# the licence's text, and the archive it opens
LICENCE = "https://github.com/Blizzard/s2client-proto#downloads"
MAPS = "https://github.com/oxwhirl/smacv2/releases/tag/maps"


class Care(NamedTuple):
    """How games are looked after."""

    timeout: int = 120  # s that a game may take to start, or to answer, before it counts as hung
    # steps after which it is launched anew, as its memory grows (DI-engine does the same)
    relaunch: int = 50_000
    stagger: float = (
        1.0  # s between the launches of two games: many at once may not get through (pymarl #29)
    )


def root() -> Path:
    """Where the game is, by the rule of pysc2."""
    return Path(os.environ.get("SC2PATH", "~/StarCraftII")).expanduser()


def require_game(name: str) -> None:
    """Refuse to go on where the game, its version, its licence or the map is missing."""
    where, program = root(), root() / "Versions" / BUILD / "SC2_x64"
    said = f"engine='package' of smac plays StarCraft II {VERSION} in {where} (SC2PATH names another folder)"
    if not where.is_dir() or not any(where.iterdir()):
        raise UserError(f"{said}, but nothing is there: read and accept the licence at {LICENCE}, then unpack the Linux "
                      f"package {VERSION} there.")  # fmt: skip
    if not program.is_file():
        found = sorted(path.parent.name for path in where.glob("Versions/Base*/SC2_x64"))
        if found:
            raise UserError(f"{said}, which is {BUILD}, found {', '.join(found)}: results of different versions cannot "
                          f"be compared, so unpack the Linux package {VERSION} ({LICENCE}).")  # fmt: skip
    if not program.is_file() or program.stat().st_size == 0:
        raise UserError(f"{said}, but what was unpacked there has no program {program}: the archive opens with a "
                      f"password that stands below its licence; accept it at {LICENCE} and unpack again.")  # fmt: skip
    if not os.access(program, os.X_OK):
        raise UserError(f"{said}, but {program} may not be executed: run `chmod +x {program}`.")
    chart = where / "Maps/SMAC_Maps" / f"{name}.SC2Map"
    if not chart.is_file():
        raise UserError(
            f"{said}, but the map {chart} is not there: unpack SMAC_Maps.zip ({MAPS}) in {where / 'Maps'}."
        )


def require_packages(file: str | Path) -> None:
    """Refuse to go on unless the packages pinned in the file's header are there, in just those
    versions.
    """
    found = [(name, wanted, version(name)) for name, wanted in pins(file).items()]
    wrong = [f"{name} {wanted}, found {other}" for name, wanted, other in found if other != wanted]
    where = rules()
    if where is None:
        wrong.append("smacv2, found none")
    elif hashlib.sha256(where.read_bytes()).hexdigest() != RULES:
        wrong.append(f"smacv2 at its commit 577ab5a, found another ({where} differs)")
    if wrong:
        raise UserError(f"engine='package' of smac needs {'; '.join(wrong)}: run `make starcraft`, or `pip "
                      f"install --no-deps` each of the dependencies that stand on top of {file}.")  # fmt: skip


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def rules() -> Path | None:
    """The file that holds smacv2's rules, without importing it."""
    spec = importlib.util.find_spec("smacv2")
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0], "env/starcraft2/starcraft2.py") if folders else None


class Play(NamedTuple):
    """What is played, and how. Called with a copy's number it makes that copy's game (which a
    `Pool` asks for).
    """

    name: str  # of the map
    reward: Literal["v1", "v2"] = "v1"
    enemies: Literal["unsorted", "sorted"] = "unsorted"
    care: Care = Care()

    def __call__(self, copy: int) -> "Game":
        return Game(self)


class Game:
    """One copy in StarCraft II (a `Single`). An exception means that the game is lost, and this
    object with it.
    """

    _env: Any

    def __init__(self, play: Play) -> None:
        self._play, self._env = play, None
        self._avail = np.zeros((0, 0), bool)

    def reset(self, seed: int | None) -> Instant:
        """Start an episode. The seed is the game's if one is to be launched; otherwise the game's
        own numbers go on.
        """
        env = self._env
        if env is None or env._total_steps >= self._play.care.relaunch:
            env = self._launch(seed or 0)
        obs, state = env.reset()
        self._dead = 0  # enemies
        return self._instant(obs, state, 0.0, 0.0, won=False, over=False)

    def _launch(self, seed: int) -> Any:
        """A new environment, whose game starts with its first reset."""
        from absl.flags import FLAGS  # pyright: ignore[reportMissingImports]

        from partage.sims.starcraft.smac_v1 import V1

        self.close()
        FLAGS.sc2_timeout = self._play.care.timeout
        self._env = V1(self._play.name, seed & 0xFFFF_FFFF, self._play.reward, self._play.enemies)
        return self._env

    def step(self, actions: Sequence[int]) -> Instant:
        env = self._env
        for agent, action in enumerate(actions):
            if not self._avail[agent, action]:
                name = self._play.name
                raise UserError(
                    f"Expected an available action, but agent {agent} of smac/{name} chose {action}."
                )
        reward, over, info = env.step(actions)
        over = over and not info.get(
            "episode_limit", False
        )  # the clock is not the battle's business
        killed, self._dead = info["dead_enemies"] - self._dead, info["dead_enemies"]
        for_kills = env.reward_death_value * killed / (env.max_reward / env.reward_scale_rate)
        return self._instant(
            env.get_obs(), env.get_state(), reward, for_kills, info["battle_won"], over
        )

    def _instant(
        self, obs: Sequence[Any], state: Any, reward: float, for_kills: float, won: bool, over: bool
    ) -> Instant:
        env = self._env
        self._avail = np.array(env.get_avail_actions(), bool)
        alive = np.array([env.agents[n].health > 0 for n in range(env.n_agents)])
        return Instant(
            np.stack(obs),
            state,
            [reward] * env.n_agents,
            float(won),
            over,
            self._avail,
            alive,
            for_kills,
        )

    def save(self) -> bytes:
        """Nothing: the game cannot."""
        return b""

    def load(self, saved: bytes) -> None:
        raise UserError("StarCraft II cannot go on from a saved state: start a new episode.")

    def close(self) -> None:
        if self._env is not None:
            env, self._env = self._env, None
            env.close()
