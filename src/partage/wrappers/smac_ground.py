"""Tell of a map's ground what SMAC's class tells: `GroundLookup`."""

import enum
import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from partage.sims.skirmish.actions import STEP_LENGTH
from partage.sims.skirmish.world import Rules

HIGHEST = 255  # terrain level that SMAC counts as 1


class Direction(enum.IntEnum):
    """Name the directions of `can_move`."""

    NORTH = 0
    SOUTH = 1
    EAST = 2
    WEST = 3


class GroundLookup:
    """Answer SMAC's questions on the ground; a unit is anything with ``pos.x`` and ``pos.y``."""

    def __init__(self, rules: Rules) -> None:
        self.map_y, self.map_x = rules.pathing.shape
        self.max_distance_x, self.max_distance_y = rules.width, rules.height
        self.pathing_grid: Bool[np.ndarray, "W H"] = rules.pathing.T.copy()
        # upside down, as SMAC reads it
        self.terrain_height: Float64[np.ndarray, "W H"] = rules.level[::-1].T / HIGHEST

    @staticmethod
    def distance(x1: float, y1: float, x2: float, y2: float) -> float:
        """Return how far two points are apart."""
        return math.hypot(x2 - x1, y2 - y1)

    def check_bounds(self, x: float, y: float) -> bool:
        """Return whether a point lies on the map."""
        return 0 <= x < self.map_x and 0 <= y < self.map_y

    def can_move(self, unit: Any, direction: int) -> bool:
        """Return whether the cell one unit on in a `Direction` is open to walkers."""
        step = STEP_LENGTH / 2
        x = unit.pos.x + step * ((direction == Direction.EAST) - (direction == Direction.WEST))
        y = unit.pos.y + step * ((direction == Direction.NORTH) - (direction == Direction.SOUTH))
        column, row = int(x), int(y)
        return self.check_bounds(column, row) and bool(self.pathing_grid[column, row])

    def get_surrounding_points(
        self, unit: Any, include_self: bool = False
    ) -> list[tuple[int, int]]:
        """Return eight points around a unit: 4 away along the axes, 2 in both; then its own."""
        x, y, step = int(unit.pos.x), int(unit.pos.y), int(STEP_LENGTH)
        points = [(x, y + 2 * step), (x, y - 2 * step), (x + 2 * step, y), (x - 2 * step, y)]
        points += [(x + step, y + step), (x - step, y - step)]
        points += [(x + step, y - step), (x - step, y + step)]
        return [*points, (x, y)] if include_self else points

    def get_surrounding_pathing(self, unit: Any) -> list[Any]:
        """Return whether walkers may stand on each of the eight points; 1 beyond the map."""
        return self._look(self.pathing_grid, self.get_surrounding_points(unit))

    def get_surrounding_height(self, unit: Any) -> list[Any]:
        """Return how high the eight points and the unit's own are, of 1; 1 beyond the map."""
        return self._look(self.terrain_height, self.get_surrounding_points(unit, True))

    def _look(self, grid: np.ndarray, points: list[tuple[int, int]]) -> list[Any]:
        """Return a grid's values at points, 1 where there is no map."""
        return [grid[point] if self.check_bounds(*point) else 1 for point in points]
