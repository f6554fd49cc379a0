"""How states are written by `torch.save`, and read: in the mode that runs nothing of the file."""

import io
from typing import Any

import torch

from partage.errors import UserError


def encode(state: dict[str, Any]) -> memoryview:
    """Return the bytes that `decode` reads, uncopied."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()


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


def check_like(saved: Any, fresh: Any, name: str) -> None:
    """Raise `ValueError` where a saved state is not of the kind of a fresh one of the same object.

    What both tables have is of one kind, lists have one length, tensors one shape and one kind of
    numbers. What is empty in the fresh one (None, no entries) may be anything: it grows in
    training. What a table lacks, whoever reads it says.
    """
    if fresh is None:
        return
    if type(saved) is not type(fresh):
        raise ValueError(f"{name} is of {type(saved).__name__}, not {type(fresh).__name__}")
    if isinstance(fresh, torch.Tensor):
        _check_tensor(saved, fresh, name)
    elif isinstance(fresh, dict):
        for key in fresh.keys() & saved.keys():
            check_like(saved[key], fresh[key], f"{name}.{key}")
    elif isinstance(fresh, list | tuple) and fresh:
        if len(saved) != len(fresh):
            raise ValueError(f"{name} has {len(saved)} entries, not {len(fresh)}")
        for place, (one, other) in enumerate(zip(saved, fresh, strict=True)):
            check_like(one, other, f"{name}[{place}]")


def _check_tensor(saved: torch.Tensor, fresh: torch.Tensor, name: str) -> None:
    kinds = [(x.dtype, tuple(x.shape), x.layout) for x in (saved, fresh)]
    if kinds[0] != kinds[1]:
        raise ValueError(f"{name} is {kinds[0]}, not {kinds[1]}")
