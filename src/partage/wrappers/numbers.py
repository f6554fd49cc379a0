"""Read whole numbers, whatever kind of number, array or tensor they came as; draw a seed."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from partage.errors import UserError


def whole_number(what: str, value: Any) -> int:
    """Return the whole number that a number, or an array or tensor of one, holds.

    Raises `UserError` for anything else; a fraction is never cut.
    """
    try:
        number = value.item() if hasattr(value, "item") else value
        whole = int(number)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number, whole = None, 0
    if whole != number:
        raise UserError(f"{what} is a whole number, but {value!r} came.")
    return whole


def actions_of_agents(actions: Any) -> list[int]:
    """Return the action of each agent. Raises `UserError` for what is no list of whole numbers."""
    if not isinstance(actions, Iterable):
        raise UserError(f"Expected an action of each agent, but {actions!r} came.")
    return [whole_number("An action", action) for action in actions]


def fresh_seed() -> int:
    """Return a seed that nobody has chosen: another one at each call."""
    return int(np.random.SeedSequence().generate_state(1)[0])
