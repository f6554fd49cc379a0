"""Hold one simulated battle after the other, which can be copied at any time: `Battle`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from partage.errors import UserError
from partage.sims.batch import Batched
from partage.sims.contract import TimeStep
from partage.sims.skirmish.actions import NONE_YET
from partage.sims.skirmish.data import BattleMap
from partage.sims.skirmish.simulator import Options, make_kernel
from partage.wrappers.numbers import fresh_seed


class Battle:
    """Play the battles of a map; `seed` decides them, None is one of its own for each object.

    A copy goes on from where the original was, and apart from it; without a seed and before the
    first battle, a copy has other battles.
    """

    def __init__(self, battle_map: BattleMap, seed: int | None) -> None:
        self.map, self._given_seed = battle_map, seed
        self.seed = fresh_seed() if seed is None else seed
        self._build()

    def _build(self) -> None:
        """Make the simulator, with no battle begun."""
        kernel = make_kernel(self.map, Options(), copies=1)
        self._env = Batched(self.map.spec, lambda _: kernel, [self.seed], 1, "truncation")
        self._begun = False
        self._name_parts(kernel)
        self.before = self.units.copy()

    def _name_parts(self, kernel: Any) -> None:
        """Give the simulator's parts their names: its rules, and its world, which changes."""
        self._kernel, self.rules, self.world = kernel, kernel.rules, kernel.world

    def __getstate__(self) -> dict[str, Any]:
        apart = ("rules", "world")  # of the kernel, whose memory a copy must not double
        return {name: value for name, value in vars(self).items() if name not in apart}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        if self._given_seed is None and not self._begun:
            self.seed = fresh_seed()
            self._build()
        self._name_parts(self._kernel)

    @property
    def units(self) -> np.ndarray:
        """Return the units, [U] of records that change as the battle goes on."""
        return self.world.units[0]

    @property
    def last_action(self) -> np.ndarray:
        """Return everyone's last action, [N]; -1 before the first step."""
        if not self._begun:
            return np.full(self.map.n_agents, NONE_YET)
        return self.world.last_action[0]

    def has_begun(self) -> bool:
        """Return whether there is a battle, going on or over."""
        return self._begun

    def now(self) -> TimeStep:
        """Return the instant, [1, 1, ...]. Raises `UserError` where no battle has begun."""
        if not self._begun:
            raise UserError("No battle has begun: call reset() first.")
        return self._env.now

    def begin(self) -> None:
        """Begin the next battle."""
        self._env.reset()
        self._begun = True
        self.before = self.units.copy()

    def advance(self, actions: list[int]) -> TimeStep:
        """Play a step. Raises `UserError` where no battle is going on."""
        if self.now().ended.item():
            raise UserError("The battle is over, and counted: call reset() to begin the next one.")
        self.before = self.units.copy()
        return self._env.step(torch.tensor(actions)[None, None])

    def give_up(self) -> None:
        """Leave the battle: none has begun from here on."""
        self._begun = False

    def close(self) -> None:
        """Close the simulator."""
        self._env.close()
