"""The units of a game: a toy battle."""

from typing import NamedTuple

import numpy as np

CUSTOM = 2001
STOCK = {"marine": 48, "marauder": 51, "medivac": 54, "zealot": 73, "stalker": 74, "colossus": 4, "baneling": 9,
         "zergling": 105, "hydralisk": 107}  # fmt: skip
HEALTH = {"marine": (45, 0), "marauder": (125, 0), "medivac": (150, 0), "zealot": (100, 50), "stalker": (80, 80),
          "colossus": (200, 150), "baneling": (30, 0), "zergling": (35, 0), "hydralisk": (80, 0)}  # fmt: skip
ROSTER = {
    "bane_vs_bane": ({"zergling": 20, "baneling": 4}, {"zergling": 20, "baneling": 4}),
    "MMM2": ({"marine": 7, "marauder": 2, "medivac": 1}, {"marine": 8, "marauder": 3, "medivac": 1}),
    "5m_vs_6m": ({"marine": 5}, {"marine": 6}),
    "3s_vs_5z": ({"stalker": 3}, {"zealot": 5}),
    "2c_vs_64zg": ({"colossus": 2}, {"zergling": 64}),
    "27m_vs_30m": ({"marine": 27}, {"marine": 30}),
    "6h_vs_8z": ({"hydralisk": 6}, {"zealot": 8}),
    "corridor": ({"zealot": 6}, {"zergling": 24}),
    "3s5z_vs_3s6z": ({"stalker": 3, "zealot": 5}, {"stalker": 3, "zealot": 6}),
}


class Unit(NamedTuple):
    tag: int
    unit_type: int
    owner: int
    x: float
    y: float
    health: float
    health_max: float
    shield: float = 0
    shield_max: float = 0
    energy: float = 0
    weapon_cooldown: float = 0


class Battle:
    def __init__(self, name: str, seed: int) -> None:
        self.roster, self.random, self.tag = ROSTER[name], np.random.default_rng(seed), 0
        self.spawn()

    def grids(self) -> tuple[np.ndarray, np.ndarray]:
        pathing = np.zeros((32, 32), bool)
        pathing[7:25, 2:30] = True
        return pathing, np.full((32, 32), 64, np.uint8)

    def spawn(self) -> None:
        self.alive, self.orders = {}, {}
        for side, team in enumerate(self.roster):
            for kind, count in team.items():
                type_ = STOCK[kind] if side else CUSTOM + sorted(team).index(kind)
                for _ in range(count):
                    self.tag += 1
                    x, y = self.random.normal((9 + 14 * side, 16), 1.5)
                    health, shield = HEALTH[kind]
                    self.alive[self.tag] = Unit(self.tag, type_, side + 1, x, y, health, health, shield, shield)

    def units(self) -> list[Unit]:
        return list(self.alive.values())

    def order(self, tag, ability, target=0, point=None) -> bool:
        if tag not in self.alive:
            return False
        self.orders[tag] = (ability, target, point)
        return True

    def kill(self, tags) -> None:
        for tag in tags:
            self.alive.pop(tag, None)
        if not self.alive:
            self.spawn()

    def advance(self, loops: int) -> None:
        for _ in range(loops):
            for tag, unit in list(self.alive.items()):
                if tag not in self.alive:
                    continue
                ability, target, point = self.orders.get(tag, (0, 0, None))
                if unit.owner == 2:
                    foes = [u for u in self.alive.values() if u.owner == 1]
                    if foes:
                        foe = min(foes, key=lambda u: (u.x - unit.x) ** 2 + (u.y - unit.y) ** 2)
                        ability, target = 23, foe.tag
                if ability == 23 and target in self.alive:
                    point = (self.alive[target].x, self.alive[target].y)
                    if np.hypot(point[0] - unit.x, point[1] - unit.y) < 5:
                        foe = self.alive[target]
                        hit = foe.health - self.random.uniform(0, 1)
                        if hit <= 0:
                            self.kill([target])
                        else:
                            self.alive[target] = foe._replace(health=hit)
                        continue
                if point:
                    dx, dy = point[0] - unit.x, point[1] - unit.y
                    far = max(np.hypot(dx, dy), 0.14)
                    self.alive[tag] = unit._replace(x=unit.x + 0.14 * dx / far, y=unit.y + 0.14 * dy / far)
