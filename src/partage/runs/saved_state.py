"""How what `torch.save` wrote is read: in the mode that runs nothing of what the file says."""

import io
from typing import Any

import torch

from partage.errors import UserError


def decode(payload: bytes, what: str, advice: str) -> dict[str, Any]:
    """Return the state that a file's bytes hold: tensors, numbers, texts, lists and tables.

    Raises `UserError` that begins with `what` and ends in `advice` for anything else, such as a
    pickle that names functions: none is called.
    """
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its unpickler raises
        raise UserError(f"{what} corrupt ({type(error).__name__}): {advice}") from error
    if not isinstance(state, dict):
        raise UserError(f"{what} corrupt ({type(state).__name__}): {advice}")
    return state
