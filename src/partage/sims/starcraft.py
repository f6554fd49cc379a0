"""StarCraft II itself behind SMAC v1's contract: one game per copy, launched and led through smacv2 and pysc2.

The game is Blizzard's, cannot be installed by a package, and must be the version that results are compared in. Its
state can be neither saved nor set, and its random numbers are its own: a seed fixes the games of a run that never
stopped, crashed or was relaunched at another moment.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from partage import Refusal
from partage.env import stream
from partage.sims.options import pins
from partage.sims.single import Instant

VERSION, BUILD = "4.10", "Base75689"
RULES = "b7d81ddd20d2213f5af5b00266210b46bb78b0bd6534eb6f6e2751d0600d53fa"  # sha256 of the pinned smacv2's starcraft2.py
LICENCE = "https://github.com/Blizzard/s2client-proto#downloads"  # the licence's text, and the archive it opens
MAPS = "https://github.com/oxwhirl/smacv2/releases/tag/maps"


class Care(NamedTuple):
    """How a game is looked after."""

    timeout: int = 120  # s that the game may take to start, or to answer, before it counts as hung
    relaunch: int = 50_000  # steps after which it is launched anew: its memory grows (DI-engine does the same)


def root() -> Path:
    """Where the game is, by the rule of pysc2."""
    return Path(os.environ.get("SC2PATH", "~/StarCraftII")).expanduser()


def require_game(name: str) -> None:
    """Refuse to go on where the game, its version, its licence or the map is missing."""
    where, program = root(), root() / "Versions" / BUILD / "SC2_x64"
    said = f"engine='package' of smac plays StarCraft II {VERSION} in {where} (SC2PATH names another folder)"
    if not where.is_dir() or not any(where.iterdir()):
        raise Refusal(f"{said}, but nothing is there: read and accept the licence at {LICENCE}, then unpack the Linux "
                      f"package {VERSION} there.")  # fmt: skip
    if not program.is_file():
        found = sorted(path.parent.name for path in where.glob("Versions/Base*/SC2_x64"))
        if found:
            raise Refusal(f"{said}, which is {BUILD}, found {', '.join(found)}: results of different versions cannot be "
                          f"compared, so unpack the Linux package {VERSION} ({LICENCE}).")  # fmt: skip
    if not program.is_file() or program.stat().st_size == 0:
        raise Refusal(f"{said}, but what was unpacked there has no program {program}: its archive opens with the password "
                      f"that stands below the licence, so accept it at {LICENCE} and unpack again.")  # fmt: skip
    if not os.access(program, os.X_OK):
        raise Refusal(f"{said}, but {program} may not be executed: run `chmod +x {program}`.")
    chart = where / "Maps/SMAC_Maps" / f"{name}.SC2Map"
    if not chart.is_file():
        raise Refusal(f"{said}, but the map {chart} is not there: unpack SMAC_Maps.zip ({MAPS}) in {where / 'Maps'}.")


def require_packages(file: str | Path) -> None:
    """Refuse to go on unless the packages pinned in the file's header are there, in just those versions."""
    wanted = pins(file)
    found = {name: version(name) for name in wanted}
    wrong = [f"{name} {version}, found {found[name]}" for name, version in wanted.items() if found[name] != version]
    if importlib.util.find_spec("smacv2") is None:
        wrong.append("smacv2, found none")
    elif hashlib.sha256(rules().read_bytes()).hexdigest() != RULES:
        wrong.append(f"smacv2 as of its commit 577ab5a, found another in {rules()}")
    if wrong:
        raise Refusal(f"engine='package' of smac needs {'; '.join(wrong)}: run `pip install --no-deps` with every line of "
                      f"the dependencies that stand on top of {file}.")  # fmt: skip


def rules() -> Path:
    """The file that holds smacv2's rules."""
    spec = importlib.util.find_spec("smacv2")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)), "env/starcraft2/starcraft2.py")


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


class Game:
    """One copy in StarCraft II (a `Single`). Any exception but a `Refusal` means that the game is lost."""

    def __init__(self, name: str, reward: str, enemies: str, care: Care) -> None:
        self._name, self._reward, self._enemies, self._care = name, reward, enemies, care
        self._seed, self._launches, self._env = 0, 0, None

    def reset(self, seed: int | None) -> Instant:
        if seed is not None:
            self._seed, self._launches = seed, 0
        if seed is not None or self._env is None or self._env._total_steps >= self._care.relaunch:
            self._launch()
        obs, state = self._env.reset()
        return self._instant(obs, state, 0.0, won=False, over=False)

    def _launch(self) -> None:
        """A new environment, whose game starts with its first reset."""
        from absl.flags import FLAGS  # pyright: ignore[reportMissingImports]

        from partage.sims.smac_v1 import V1

        self.close()
        FLAGS.sc2_timeout = self._care.timeout
        self._launches += 1
        seed = stream(self._seed, "launch", self._launches) & 0xFFFF_FFFF  # the protocol has 32 bits for it
        self._env = V1(self._name, seed, self._reward, self._enemies)

    def step(self, actions: Sequence[int]) -> Instant:
        env: Any = self._env
        for agent, action in enumerate(actions):
            if not self._avail[agent, action]:
                raise Refusal(f"Expected an available action, but agent {agent} of smac/{self._name} chose {action}.")
        reward, over, info = env.step(actions)
        over = over and not info.get("episode_limit", False)  # the clock is not the battle's business
        return self._instant(env.get_obs(), env.get_state(), reward, info["battle_won"], over)

    def _instant(self, obs: Sequence[Any], state: Any, reward: float, won: bool, over: bool) -> Instant:
        env: Any = self._env
        self._avail = np.array(env.get_avail_actions(), bool)
        alive = np.array([env.agents[n].health > 0 for n in range(env.n_agents)])
        return Instant(np.stack(obs), state, [reward] * env.n_agents, float(won), over, self._avail, alive)

    def close(self) -> None:
        if self._env is not None:
            env, self._env = self._env, None
            env.close()
