"""Small battles for tests: any units anywhere, moved by single game loops or by orders."""

import numpy as np
import torch

from partage.sims.batch import Batched, Buffers, idle_buffers
from partage.sims.skirmish.data import Group, Map, maps, named
from partage.sims.skirmish.skirmish import Options, kernel, play
from partage.sims.skirmish.world import ATTACK, MOVE, NOBODY, STOP, Rules, World

FLAT = named("5m_vs_6m").ground


class Field:
    """One copy of a battle of any units; `pause` makes all of them stand idle, the enemies without
    a goal.
    """

    def __init__(self, allies: list[str], enemies: list[str], ground: str = "5m_vs_6m") -> None:
        sides = [
            tuple(Group(name, 1, at) for name in names)
            for names, at in ((allies, (9, 16)), (enemies, (23, 16)))
        ]
        found = Map("test", 100, "PP", "test", *sides, goal=(9, 16), ground=maps()[ground].ground)
        made = kernel(found, Options(in_order=True), 1)
        self.rules: Rules = made.rules
        self.world: World = made.world
        self.buffers: Buffers = idle_buffers(found.spec, [0], 1, state_is_obs=False)
        made.begin(self.buffers, np.ones(1, bool))
        self.unit = made.world.units[0]
        self.pause()

    def pause(self) -> None:
        self.unit["order"], self.unit["target"], self.unit["aim"] = STOP, NOBODY, NOBODY
        self.unit["blows"], self.unit["stride"], self.unit["cooldown"] = 0, 0, 0

    def place(self, *places: tuple[float, float]) -> "Field":
        self.unit["x"], self.unit["y"] = np.array(places, float).T
        return self

    def harmless(self, *slots: int) -> "Field":
        """Units that cannot hurt anyone, so do nothing."""
        self.rules.damage[list(slots)] = 0
        return self

    def attack(self, slot: int, target: int) -> "Field":
        self.unit["order"][slot], self.unit["target"][slot] = ATTACK, target
        return self

    def move(self, slot: int, x: float, y: float) -> "Field":
        self.unit["order"][slot], self.unit["target"][slot] = MOVE, NOBODY
        self.unit["goal_x"][slot], self.unit["goal_y"][slot] = x, y
        return self

    def run(self, loops: int) -> "Field":
        play(self.rules, self.world, self.buffers, 0, loops)
        return self

    def loops_until_hurt(self, slot: int, most: int = 400) -> int:
        """Game loops until the unit has lost health or shield."""
        before = self.unit["health"][slot] + self.unit["shield"][slot]
        for loop in range(1, most):
            if self.run(1).unit["health"][slot] + self.unit["shield"][slot] < before - 1e-9:
                return loop
        raise AssertionError(f"slot {slot} was not hurt in {most} loops")


def random_actions(available: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Any available action of each agent."""
    return torch.where(available, torch.rand(available.shape, generator=generator), -1.0).argmax(-1)


def battles(
    name: str, copies: int, seed: int = 0, options: Options | None = None
) -> tuple[Batched, World, Rules]:
    made = kernel(named(name), options or Options(), copies)
    return (
        Batched(named(name).spec, lambda _: made, [seed], copies, "terminal"),
        made.world,
        made.rules,
    )
