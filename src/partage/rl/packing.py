"""How the replay keeps a field small, and brings it back bit for bit.

Floats are kept exactly, those of a field that is mostly zeros (what nobody sees in a battle) as the
ones that are not; masks as bits, actions as bytes. An episode is one dictionary of small tensors.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

Episode = dict[str, Tensor]
VALUES = "/values"  # the floats of a sparse field, whose bits say where they stand


class Packing:
    """What is remembered of the fields to unpack them again."""

    def __init__(self) -> None:
        self.widths: dict[str, int] = {}  # last axis of each packed mask
        # the shape at one instant of each field that is mostly zeros; [] where a field is not
        self.sparse: dict[str, list[int]] = {}

    def pack(self, name: str, x: Tensor) -> Episode:
        """Return a field ``[T, ...]`` of an episode as it is kept: one entry, or two if sparse."""
        if x.dtype == torch.float32 and x.dim() > 1:
            flat = x.reshape(len(x), -1)
            there = (
                flat.view(torch.int32) != 0
            )  # of -0.0, too: what comes back is equal bit for bit
            if self._is_sparse(name, x, there):
                return {name: _packed_bits(there), name + VALUES: flat[there]}
            return {name: x.clone()}
        if x.dtype == torch.bool and x.dim() > 1:
            self.widths[name] = x.shape[-1]
            return {name: _packed_bits(x)}
        return {name: _bytes(name, x) if x.dtype == torch.int64 else x.clone()}

    def _is_sparse(self, name: str, x: Tensor, there: Tensor) -> bool:
        """Return whether a field is mostly zeros: its first episode decides for all."""
        if name not in self.sparse:
            mostly_zeros = there.float().mean() < 0.5
            self.sparse[name] = list(x.shape[1:]) if mostly_zeros else []
        return bool(self.sparse[name])

    def padded(self, name: str, runs: Sequence[Sequence[Episode]], batch: int, time: int) -> Tensor:
        """Return a field of some episodes of each run, padded with zeros.

        Its shape is ``[R, batch, time, ...]``.
        """
        if instant := self.sparse.get(name):
            tail, kind = instant, torch.float32
        else:
            nonempty = next(run for run in runs if run)
            example = nonempty[0][name]
            tail, kind = example.shape[1:], example.dtype
        # time before copies: the order of a bank's rows
        out = torch.zeros(len(runs), time, batch, *tail, dtype=kind)
        for r, run in enumerate(runs):
            for b, episode in enumerate(run):
                x = episode[name]
                out[r, : len(x), b] = spread(x, episode[name + VALUES], instant) if instant else x
        return (out if instant else self._unpacked(name, out)).transpose(1, 2)

    def _unpacked(self, name: str, x: Tensor) -> Tensor:
        """Return a field that is not sparse in the type that it came in."""
        if name in self.widths:
            bits = np.unpackbits(x.numpy(), axis=-1, count=self.widths[name])
            return torch.from_numpy(bits).view(torch.bool)
        return x.long() if x.dtype == torch.uint8 else x


def _packed_bits(mask: Bool[Tensor, "*X W"]) -> UInt8[Tensor, "*X V"]:
    """Return a mask as bits, each row in whole bytes."""
    return torch.from_numpy(np.packbits(mask.numpy(), axis=-1))


def _bytes(name: str, x: Tensor) -> UInt8[Tensor, "..."]:
    """Return whole numbers as bytes.

    Raises `ValueError` where one does not fit.
    """
    if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < 256:
        raise ValueError(
            f"{name} is stored in a byte but holds values from {int(x.min())} to {int(x.max())}"
        )
    return x.to(torch.uint8)


def spread(bits: Tensor, values: Tensor, instant: Sequence[int]) -> Float32[Tensor, "T ..."]:
    """Return floats at the places that the bits say, zeros elsewhere.

    `instant` is the shape at one instant.
    """
    there = np.unpackbits(bits.numpy(), axis=-1, count=math.prod(instant)).view(bool)
    out = np.zeros(there.shape, np.float32)
    out[there] = values.numpy()  # several times faster than torch's
    return torch.from_numpy(out.reshape(len(bits), *instant))


def ones(bits: Tensor) -> int:
    """Return how many bits are set."""
    return int(np.unpackbits(bits.numpy()).sum())
