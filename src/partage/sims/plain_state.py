"""What a simulator of one copy saves: numbers, texts, lists and tables, as JSON.

JSON runs nothing when it is read, whoever has written it, and a float comes back to the bit.
"""

import json
from collections.abc import Sequence
from operator import methodcaller
from typing import Any

import numpy as np

from partage.errors import UserError


def as_json(**fields: Any) -> bytes:
    """Return the fields as JSON; NumPy's arrays and numbers go as lists and numbers."""
    return json.dumps(fields, default=methodcaller("tolist")).encode()


def from_json(saved: bytes, names: Sequence[str]) -> dict[str, Any]:
    """Return the fields, which have these names. Raises `UserError` for anything else."""
    try:
        fields = json.loads(saved)
    except (ValueError, RecursionError, TypeError):
        fields = None
    if not isinstance(fields, dict) or sorted(fields) != sorted(names):
        raise UserError(
            f"A simulator's saved state is JSON of {', '.join(names)}, but this is not: it is "
            f"damaged, of another engine or of older code."
        )
    return fields


def array(what: str, value: Any, shape: Sequence[int], kind: type) -> np.ndarray:
    """Return a saved list as an array. Raises `UserError` for another shape or other numbers."""
    try:
        found = np.array(value)
    except ValueError:  # lists of different lengths
        found = np.array(None)
    whole = np.issubdtype(found.dtype, np.integer) or found.size == 0
    fits = whole or (kind is float and found.dtype == float)
    if found.shape != tuple(shape) or not fits:
        raise UserError(
            f"The saved {what} is an array of shape {list(shape)} of {kind.__name__}, but this "
            f"is not: it is damaged or of another task."
        )
    return found.astype(kind)


def generator(state: Any) -> np.random.Generator:
    """Return NumPy's default generator in a saved state. Raises `UserError` for none."""
    made = np.random.default_rng(0)
    try:
        made.bit_generator.state = state
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise UserError("The saved state of a random generator is damaged.") from error
    return made
