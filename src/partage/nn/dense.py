"""Chains of banks: all layers of one set's rows while they are in the cache, forward and backward.

A batch of small matrices, layer after layer, is read from memory once a layer. On the CPU every
stretch of rows goes through its own set in one call, 64 rows at a time, and no set is copied to
where it is used. Sums are taken row after row, so a run's bits depend neither on its pack nor on
zeros behind its last row. On other devices a chain is its links, one after the other, in torch's
own operations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from partage.kernels.gemm import BLOCK, LANES
from partage.kernels.mlp import backward_all, forward_all
from partage.sharing.assignment import Assignment, pick


class Layer(NamedTuple):
    """One layer: which of R runs' S sets each of G groups goes through. It holds until the next
    update.

    A group's agents stand in turn along its rows, and each has its own biases in the table: one, or
    where inputs are one-hot one for every place of the one, the first (-1) for none.
    """

    weight: Float32[Tensor, "R S I O"]
    table: Float32[Tensor, "R S E O"]  # E = agents x entries
    sharing: Assignment  # [R, G]
    entries: int = 1  # of an agent
    relu: bool = False  # behind it

    def __call__(
        self, rows: Float32[Tensor, "R G T M I"], hot: Int64[Tensor, "R G T M"] | None = None
    ) -> Float32[Tensor, "R G T M O"]:
        """`hot` is the place of the one in the one-hot inputs of each row (-1: they are all zero)."""
        return apply_layers(rows, [self], hot)


def apply_layers(
    rows: Float32[Tensor, "R G T M I"],
    links: Sequence[Layer],
    hot: Int64[Tensor, "R G T M"] | None = None,
) -> Float32[Tensor, "R G T M O"]:
    """Rows through links, each with its own assignment (all of one set, or none); the first alone
    may be one-hot.
    """
    shape = rows.shape[:4]
    if rows.device.type != "cpu":
        return _elsewhere(
            rows.flatten(2, 3), links, None if hot is None else hot.flatten(2)
        ).unflatten(2, shape[2:])
    bounds = np.arange(shape[:2].numel() + 1) * shape[2:].numel()
    return apply_layers_sorted(rows.flatten(0, 3), bounds, links, hot).unflatten(0, shape)


def apply_layers_sorted(
    x: Float32[Tensor, "L I"], bounds: np.ndarray, links: Sequence[Layer], hot: Tensor | None = None
) -> Float32[Tensor, "L O"]:
    """Sorted rows through links: those of group k = run * G + g lie from ``bounds[k]`` to
    ``bounds[k + 1]``.
    """
    at = torch.full((len(x),), -1) if hot is None else hot.flatten()
    plan = (
        bounds,
        at.numpy(),
        *(np.array([getattr(link, name) for link in links]) for name in ("relu", "entries")),
    )
    index = tuple(link.sharing.contiguous().numpy() for link in links)
    weights, tables = zip(
        *((link.weight.contiguous(), link.table.contiguous()) for link in links), strict=True
    )
    if torch.is_grad_enabled():
        return Chain.apply(x, (*plan, index), *weights, *tables)  # type: ignore[return-value]
    return _forward(x, (*plan, index), weights, tables, False)[-1][:, : weights[-1].shape[-1]]


def _elsewhere(
    x: Float32[Tensor, "R G M I"], links: Sequence[Layer], hot: Tensor | None
) -> Float32[Tensor, "R G M O"]:
    for n, (weight, table, sharing, entries, relu) in enumerate(links):
        places = torch.arange(x.shape[2], device=x.device) % (table.shape[2] // entries) * entries
        at = places.expand(x.shape[:3]) if n or hot is None else places + hot + 1
        offset = (
            pick(table, sharing)
            .expand(*x.shape[:2], -1, -1)
            .gather(2, at[..., None].expand(*at.shape, table.shape[3]))
        )
        x = x @ pick(weight, sharing) + offset
        x = x.relu() if relu else x
    return x


class Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: Any, *parameters: Tensor) -> Float32[Tensor, "L O"]:
        weights, tables = parameters[: len(parameters) // 2], parameters[len(parameters) // 2 :]
        layers = _forward(x, plan, weights, tables, True)
        ctx.plan, ctx.entries = plan, [table.shape for table in tables]
        ctx.save_for_backward(x, *weights, *layers)
        return layers[-1][:, : weights[-1].shape[-1]]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, *saved = ctx.saved_tensors
        weights, layers = saved[: len(ctx.entries)], saved[len(ctx.entries) :]
        d_weights = [torch.zeros_like(w) for w in weights]
        d_tables = [x.new_zeros(shape, dtype=torch.float64) for shape in ctx.entries]
        wanted, last = ctx.needs_input_grad[0], grad_outputs[0].contiguous()
        dx = torch.empty_like(x, memory_format=torch.contiguous_format) if wanted else None
        lists = (tuple(y.numpy() for y in each) for each in (weights, layers, d_weights, d_tables))
        backward_all(
            x.contiguous().numpy(),
            *ctx.plan,
            *lists,
            last.numpy(),
            (last if dx is None else dx).numpy(),
            wanted,
        )
        return dx, None, *d_weights, *(d_table.float() for d_table in d_tables)


def _forward(
    x: Tensor, plan: Any, weights: Sequence[Tensor], tables: Sequence[Tensor], keep: bool
) -> list[Tensor]:
    """The rows behind each link, their width filled up with zeros to whole registers.

    Of those between links one block alone where they are not kept: nothing leaves the cache but the
    last.
    """
    heights = [len(x) if keep else BLOCK] * (len(weights) - 1) + [len(x)]
    layers = [
        x.new_empty(rows, -(-w.shape[-1] // LANES) * LANES)
        for rows, w in zip(heights, weights, strict=True)
    ]
    lists = (tuple(y.detach().numpy() for y in each) for each in (weights, tables, layers))
    forward_all(x.detach().contiguous().numpy(), *plan, *lists)
    return layers
