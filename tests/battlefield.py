"""Set up small battles for tests: any units anywhere, moved by single game loops or by orders."""

import numpy as np
import torch

from partage.sims.batch import Batched, idle_buffers
from partage.sims.buffers import Buffers
from partage.sims.skirmish.data import BattleMap, Group, find_map, maps
from partage.sims.skirmish.simulator import Options, make_kernel, run_loops
from partage.sims.skirmish.world import ATTACK, MOVE, NOBODY, STOP, Rules, World


class Field:
    """Hold one copy of a battle of any units, all of which stand idle until they are ordered."""

    def __init__(self, allies: list[str], enemies: list[str], ground: str = "5m_vs_6m") -> None:
        battle_map = BattleMap(
            name="test",
            limit=100,
            races="PP",
            map_type="test",
            allies=tuple(Group(name, 1, (9, 16)) for name in allies),
            enemies=tuple(Group(name, 1, (23, 16)) for name in enemies),
            goal=(9, 16),
            ground=maps()[ground].ground,
        )
        made = make_kernel(battle_map, Options(keep_order=True), 1)
        self.rules: Rules = made.rules
        self.world: World = made.world
        self.buffers: Buffers = idle_buffers(battle_map.spec, [0], 1)
        made.begin(self.buffers, np.ones(1, bool))
        self.unit = made.world.units[0]
        self.pause()

    def pause(self) -> None:
        """Let everybody stand idle, the enemies without a goal."""
        self.unit["order"], self.unit["target"], self.unit["attacked"] = STOP, NOBODY, NOBODY
        self.unit["hits_due"], self.unit["stride"], self.unit["cooldown"] = 0, 0, 0

    def place(self, *places: tuple[float, float]) -> "Field":
        """Put the units, in the order of their slots, at these points."""
        self.unit["x"], self.unit["y"] = np.array(places, float).T
        return self

    def harmless(self, *slots: int) -> "Field":
        """Let the units hurt nobody, so do nothing."""
        self.rules.damage[list(slots)] = 0
        return self

    def attack(self, slot: int, target: int) -> "Field":
        """Order a unit to attack another."""
        self.unit["order"][slot], self.unit["target"][slot] = ATTACK, target
        return self

    def move(self, slot: int, x: float, y: float) -> "Field":
        """Order a unit to walk to a point."""
        self.unit["order"][slot], self.unit["target"][slot] = MOVE, NOBODY
        self.unit["goal_x"][slot], self.unit["goal_y"][slot] = x, y
        return self

    def run(self, loops: int) -> "Field":
        """Run that many game loops."""
        run_loops(self.rules, self.world, self.buffers, 0, loops)
        return self

    def loops_until_hurt(self, slot: int, most: int = 400) -> int:
        """Return the game loops until the unit has lost health or shield."""
        before = self.unit["health"][slot] + self.unit["shield"][slot]
        for loop in range(1, most):
            if self.run(1).unit["health"][slot] + self.unit["shield"][slot] < before - 1e-9:
                return loop
        raise AssertionError(f"slot {slot} was not hurt in {most} loops")


def random_actions(available: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return any available action of each agent."""
    return torch.where(available, torch.rand(available.shape, generator=generator), -1.0).argmax(-1)


def battles(
    name: str, copies: int, seed: int = 0, options: Options | None = None
) -> tuple[Batched, World, Rules]:
    """Return copies of a map, with their arrays and constants."""
    made = make_kernel(find_map(name), options or Options(), copies)
    return (
        Batched(find_map(name).spec, lambda _: made, [seed], copies, "terminal"),
        made.world,
        made.rules,
    )
