"""The units of a game, moved by our own simulator of these battles, one game loop at a time."""

from collections.abc import Set
from typing import NamedTuple

import numpy as np

from partage.sims import batch
from partage.sims.skirmish import rules
from partage.sims.skirmish.data import named
from partage.sims.skirmish.skirmish import SETTLING, play, spawn
from partage.sims.skirmish.world import ATTACK, HEAL, MOVE, NOBODY, STOP, blank

CUSTOM = 2001  # the number of the first unit type that a map brings; they go by the alphabet
STOCK = {
    "marine": 48, "marauder": 51, "medivac": 54, "zealot": 73, "stalker": 74, "colossus": 4, "baneling": 9,
    "zergling": 105, "hydralisk": 107,
}  # fmt: skip
ORDERS = {4: STOP, 16: MOVE, 23: ATTACK, 386: HEAL}  # by the game's number of the ability
GRAIN = 1024  # parts of a length that a point on the wire is told apart by: it has single precision


class Unit(NamedTuple):
    """By the names that the protocol has."""

    tag: int
    unit_type: int
    owner: int
    x: float
    y: float
    health: float
    health_max: float
    shield: float
    shield_max: float
    energy: float
    weapon_cooldown: float


class Battle:
    """The battle of a map; its random draws follow from the seed. Where both sides are dead the next begins at once."""

    def __init__(self, name: str, seed: int) -> None:
        found = named(name)
        self.rules = rules.make(found)
        self.world = blank(self.rules, 1)
        self.shown = batch.blank(found.spec, [0], 1, state_is_obs=False)
        self.shown.key[0] = seed
        names, allies = rules.slots(found)[0], found.n_agents
        custom = {unit: CUSTOM + number for number, unit in enumerate(sorted(set(names[:allies])))}
        self.types = [custom[unit] for unit in names[:allies]] + [STOCK[unit] for unit in names[allies:]]
        self.before = 1 - len(names)  # tags start from here: no two units of a game have the same
        self.spawn()
        self.advance(SETTLING)

    def spawn(self) -> None:
        self.before += len(self.types)
        spawn(self.rules, self.world, self.shown, 0)

    def grids(self) -> tuple[np.ndarray, np.ndarray]:
        """Where walkers stand and how high it is, by [y, x]."""
        return self.rules.pathing, self.rules.level.astype(np.uint8)

    def units(self) -> list[Unit]:
        """The living."""
        world, rules = self.world, self.rules
        return [
            Unit(
                self.before + slot,
                self.types[slot],
                1 if slot < rules.n_agents else 2,
                world.x[0, slot],
                world.y[0, slot],
                world.health[0, slot],
                rules.health_max[slot],
                world.shield[0, slot],
                rules.shield_max[slot],
                world.energy[0, slot],
                world.cooldown[0, slot],
            )
            for slot in np.flatnonzero(world.health[0] > 0).tolist()
        ]

    def living(self, tag: int) -> int:
        """The slot of the living unit of that tag, or -1."""
        slot = tag - self.before
        return slot if 0 <= slot < len(self.types) and self.world.health[0, slot] > 0 else NOBODY

    def order(self, tag: int, ability: int, target: int = -1, point: tuple[float, float] | None = None) -> bool:
        """Give a living ally an order; whether it was one that it can obey."""
        world, slot, aim = self.world, self.living(tag), self.living(target)
        order = ORDERS.get(ability, NOBODY)
        meant = {STOP: True, MOVE: point is not None, ATTACK: aim >= self.rules.n_agents, HEAL: 0 <= aim}
        if not 0 <= slot < self.rules.n_agents or not meant.get(order, False):
            return False
        if point is not None:
            for goal, place, wish in zip((world.goal_x, world.goal_y), (world.x, world.y), point, strict=True):
                goal[0, slot] = place[0, slot] + round((wish - place[0, slot]) * GRAIN) / GRAIN
        world.order[0, slot], world.target[0, slot] = order, aim
        return True

    def kill(self, tags: Set[int]) -> None:
        for slot in map(self.living, tags):
            if slot != NOBODY:
                self.world.health[0, slot] = 0
        self.renew()

    def renew(self) -> None:
        if not (self.world.health > 0).any():
            self.spawn()

    def advance(self, loops: int) -> None:
        for _ in range(loops):
            play(self.rules, self.world, self.shown, 0, 1)
            self.renew()
