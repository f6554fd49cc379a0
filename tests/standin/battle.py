"""Move the units of a game by our own simulator of these battles, one game loop at a time."""

from collections.abc import Set
from typing import NamedTuple

import numpy as np

from partage.sims import batch
from partage.sims.skirmish.data import find_map
from partage.sims.skirmish.rules import line_up, make_rules
from partage.sims.skirmish.simulator import SETTLING, begin, run_loops
from partage.sims.skirmish.world import ATTACK, HEAL, MOVE, NOBODY, STOP, blank

CUSTOM = 2001  # the number of the first unit type that a map brings; they go by the alphabet
GAME_TYPES = {  # the game's own numbers of the types, which the enemies have
    "marine": 48,
    "marauder": 51,
    "medivac": 54,
    "zealot": 73,
    "stalker": 74,
    "colossus": 4,
    "baneling": 9,
    "zergling": 105,
    "hydralisk": 107,
}
ORDERS = {4: STOP, 16: MOVE, 23: ATTACK, 386: HEAL}  # by the game's number of the ability
GRAIN = 1024  # parts of a length that a point on the wire is told apart by: it has single precision


class Unit(NamedTuple):
    """Hold what the game tells of a unit, by the names that the protocol has."""

    tag: int
    unit_type: int
    owner: int
    x: float
    y: float
    health: float
    shield: float
    energy: float
    weapon_cooldown: float
    health_max: float
    shield_max: float


class Battle:
    """Fight the battles of a map; the seed decides them.

    Where both sides are dead the next begins at once.
    """

    def __init__(self, name: str, seed: int) -> None:
        found = find_map(name)
        self.rules = make_rules(found)
        self.world = blank(self.rules, 1)
        self.buffers = batch.idle_buffers(found.spec, [0], 1)
        self.buffers.key[0] = seed
        names, allies = line_up(found).names, found.n_agents
        custom = {unit: CUSTOM + number for number, unit in enumerate(sorted(set(names[:allies])))}
        self.types = [custom[unit] for unit in names[:allies]] + [
            GAME_TYPES[unit] for unit in names[allies:]
        ]
        self.first = 1 - len(names)  # tag of the first unit: no two of a game have the same
        self.spawn()
        self.ahead = 0

    def spawn(self) -> None:
        """Begin a battle.

        The simulator begins with the loops that pass while SMAC resets; `ahead` are those still to
        pass.
        """
        begin(self.rules, self.world, self.buffers, np.ones(1, bool))
        self.first += len(self.types)
        self.ahead = SETTLING

    def grids(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where walkers stand and how high it is, by [y, x]."""
        return self.rules.pathing, self.rules.level.astype(np.uint8)

    def units(self) -> list[Unit]:
        """Return the living."""
        records = zip(self.world.units[0], self.rules.traits, strict=True)
        return [
            self._unit(slot, unit, traits)
            for slot, (unit, traits) in enumerate(records)
            if unit["health"] > 0
        ]

    def _unit(self, slot: int, unit: np.void, traits: np.void) -> Unit:
        """Return what the game tells of a slot."""
        return Unit(
            tag=self.first + slot,
            unit_type=self.types[slot],
            owner=1 if slot < self.rules.n_agents else 2,
            x=unit["x"].item(),
            y=unit["y"].item(),
            health=unit["health"].item(),
            shield=unit["shield"].item(),
            energy=unit["energy"].item(),
            weapon_cooldown=unit["cooldown"].item(),
            health_max=traits["health_max"],
            shield_max=traits["shield_max"],
        )

    def living(self, tag: int) -> int:
        """Return the slot of the living unit of that tag, or -1."""
        slot = tag - self.first
        return (
            slot
            if 0 <= slot < len(self.types) and self.world.units[0, slot]["health"] > 0
            else NOBODY
        )

    def order(
        self, tag: int, ability: int, target: int = 0, point: tuple[float, float] | None = None
    ) -> bool:
        """Give a living ally an order; return whether it can obey it."""
        slot, aim, order = self.living(tag), self.living(target), ORDERS.get(ability)
        meant = {
            STOP: True,
            MOVE: point is not None,
            ATTACK: aim >= self.rules.n_agents,
            HEAL: aim != NOBODY,
        }
        if not 0 <= slot < self.rules.n_agents or order is None or not meant[order]:
            return False
        me = self.world.units[0, slot]
        if point is not None:
            for goal, place, wish in zip(("goal_x", "goal_y"), ("x", "y"), point, strict=True):
                me[goal] = me[place] + round((wish - me[place]) * GRAIN) / GRAIN
        me["order"], me["target"] = order, aim
        return True

    def kill(self, tags: Set[int]) -> None:
        """Kill the living units of these tags."""
        for slot in map(self.living, tags):
            if slot != NOBODY:
                self.world.units[0, slot]["health"] = 0
        self.renew()

    def renew(self) -> None:
        """Begin the next battle where both sides are dead."""
        if not (self.world.units["health"] > 0).any():
            self.spawn()

    def advance(self, loops: int) -> None:
        """Let that many game loops pass."""
        for _ in range(loops):
            if self.ahead:
                self.ahead -= 1
            else:
                run_loops(self.rules, self.world, self.buffers, 0, 1)
                self.renew()
