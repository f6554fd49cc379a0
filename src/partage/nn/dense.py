"""Rows through one layer after the other while they are in the cache, forward and backward.

A batch of small matrices, layer after layer, is read from memory once a layer. On the CPU every
stretch of rows goes through its own set in one call, 64 rows at a time, and no set is copied to
where it is used. Sums are taken row after row, so a run's bits depend neither on its pack nor on
zeros behind its last row. On other devices layers follow one another in torch's own operations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.kernels.gemm import BLOCK, padded_width
from partage.kernels.mlp import Layers, forward_all
from partage.kernels.mlp import Rows as SortedRows
from partage.kernels.mlp_backward import Gradients, backward_all
from partage.nn.products import multiplied
from partage.sharing.assignment import Assignment, pick

Arrays = tuple[np.ndarray, ...]


class Layer(NamedTuple):
    """One layer: which of R runs' S sets each of G groups goes through, until the next update.

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
        """Return the rows behind this layer.

        `hot` is the place of the one in the one-hot inputs of each row (-1: they are all zero).
        """
        return apply_layers(rows, [self], hot)


class Passage(NamedTuple):
    """How sorted rows go through layers: what `SortedRows` and `Layers` hold besides numbers."""

    bounds: Int64[np.ndarray, "K1"]
    hot: Int64[np.ndarray, "L"]
    sharing: tuple[Int64[np.ndarray, "R G"], ...]
    entries: Int64[np.ndarray, "layers"]
    relu: Bool[np.ndarray, "layers"]

    def rows(self, x: Tensor) -> SortedRows:
        """Return these rows as the compiled functions take them."""
        return SortedRows(x.numpy(), self.bounds, self.hot)

    def layers(self, weights: Sequence[Tensor]) -> Layers:
        """Return layers of these weights as the compiled functions take them."""
        return Layers(_arrays(weights), self.sharing, self.entries, self.relu)


def apply_layers(
    rows: Float32[Tensor, "R G T M I"],
    layers: Sequence[Layer],
    hot: Int64[Tensor, "R G T M"] | None = None,
) -> Float32[Tensor, "R G T M O"]:
    """Return rows behind layers, each with its own assignment (all of one set, or none).

    The first layer alone may have one-hot inputs.
    """
    if rows.device.type != "cpu":
        return apply_layers_torch(rows, layers, hot)
    runs, groups, time, rows_at_once, _ = rows.shape
    bounds = np.arange(runs * groups + 1) * (time * rows_at_once)
    y = apply_layers_sorted(rows.flatten(0, 3), bounds, layers, hot)
    return y.unflatten(0, rows.shape[:4])


def apply_layers_torch(
    rows: Float32[Tensor, "R G T M I"],
    layers: Sequence[Layer],
    hot: Int64[Tensor, "R G T M"] | None = None,
) -> Float32[Tensor, "R G T M O"]:
    """Do as `apply_layers` in torch's own operations, on any device."""
    x, places = rows, None if hot is None else hot.flatten(2)
    for layer in layers:
        weight = pick(layer.weight, layer.sharing).flatten(0, 1)
        y = multiplied(x.flatten(0, 1), weight).flatten(1, 2).unflatten(0, rows.shape[:2])
        y = _with_biases(y, layer, places)
        x = (y.relu() if layer.relu else y).unflatten(2, rows.shape[2:4])
        places = None  # the first alone has one-hot inputs
    return x


def _with_biases(
    y: Float32[Tensor, "R G M O"], layer: Layer, hot: Int64[Tensor, "R G M"] | None
) -> Float32[Tensor, "R G M O"]:
    """Add each row's entry of the table of biases.

    What is looked up is multiplied by ones and zeros: a gradient that is added up place by place
    would come in another order each time.
    """
    agents = layer.table.shape[2] // layer.entries
    tables = pick(layer.table, layer.sharing).unflatten(2, (agents, layer.entries))
    by_agent = y.unflatten(2, (-1, agents))  # [R, G, M / agents, agents, O]
    if hot is None:
        return (by_agent + tables[:, :, None, :, 0]).flatten(2, 3)
    entry = torch.arange(layer.entries, device=y.device) - 1
    ones = (hot.unflatten(2, (-1, agents))[..., None] == entry).to(y.dtype)
    looked_up = ones.transpose(2, 3) @ tables  # [R, G, agents, M / agents, O]
    return (by_agent + looked_up.transpose(2, 3)).flatten(2, 3)


def apply_layers_sorted(
    x: Float32[Tensor, "L I"],
    bounds: np.ndarray,
    layers: Sequence[Layer],
    hot: Tensor | None = None,
) -> Float32[Tensor, "L O"]:
    """Return sorted rows behind layers (CPU).

    Those of group k = run * G + g lie from ``bounds[k]`` to ``bounds[k + 1]``.
    """
    _check_layers(x, layers, hot)
    places = torch.full((len(x),), -1) if hot is None else hot.flatten()
    passage = Passage(
        bounds,
        places.numpy(),
        tuple(layer.sharing.contiguous().numpy() for layer in layers),
        np.array([layer.entries for layer in layers]),
        np.array([layer.relu for layer in layers]),
    )
    weights = [layer.weight.contiguous() for layer in layers]
    tables = [layer.table.contiguous() for layer in layers]
    if torch.is_grad_enabled():
        return AppliedLayers.apply(x, passage, *weights, *tables)  # type: ignore[return-value]
    behind = _outputs(x, passage, weights, tables, keep=False)
    return behind[-1][:, : weights[-1].shape[-1]]


def _check_layers(x: Tensor, layers: Sequence[Layer], hot: Tensor | None) -> None:
    """Raise `ValueError` for what compiled code would read beyond its end.

    That a set, or the place of a one, is there the compiled code finds itself.
    """
    width = x.shape[-1]
    for n, layer in enumerate(layers):
        runs, sets, inputs, outputs = layer.weight.shape
        table, sharing = layer.table.shape, layer.sharing.shape
        fits = width == inputs and table[:2] == (runs, sets) and table[3] == outputs
        if not fits or table[2] % layer.entries or sharing[0] != runs:
            raise ValueError(
                f"layer {n} takes rows of {width} numbers with weights {list(layer.weight.shape)},"
                f" biases {list(table)} and sharing {list(sharing)}: their shapes do not fit"
            )
        if n and layer.entries > 1:
            raise ValueError("the first layer alone may have one-hot inputs")
        if layer.weight.dtype != torch.float32 or layer.table.dtype != torch.float32:
            raise ValueError(f"layer {n} has weights and biases that are not float32")
        width = outputs
    if x.dtype != torch.float32 or (hot is not None and hot.numel() != len(x)):
        raise ValueError(
            f"layers take float32 rows, and a place of the one for each of {len(x)}, but got "
            f"{x.dtype}" + ("" if hot is None else f" and {hot.numel()} places")
        )


class AppliedLayers(torch.autograd.Function):
    """`apply_layers_sorted` for torch's gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, passage: Passage, *weights_and_tables: Tensor
    ) -> Float32[Tensor, "L O"]:
        """Return the rows behind the layers; weights come first, then tables."""
        depth = len(weights_and_tables) // 2
        weights, tables = weights_and_tables[:depth], weights_and_tables[depth:]
        outputs = _outputs(x, passage, weights, tables, keep=True)
        ctx.passage, ctx.table_shapes = passage, [table.shape for table in tables]
        ctx.save_for_backward(x, *weights, *outputs)
        return outputs[-1][:, : weights[-1].shape[-1]]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` was given."""
        x, *saved = ctx.saved_tensors
        depth = len(ctx.table_shapes)
        weights, outputs = saved[:depth], saved[depth:]
        d_out, wants_dx = grad_outputs[0].contiguous(), ctx.needs_input_grad[0]
        dx = torch.empty_like(x, memory_format=torch.contiguous_format) if wants_dx else None
        d_weights = [torch.zeros_like(weight) for weight in weights]
        d_tables = [x.new_zeros(shape, dtype=torch.float64) for shape in ctx.table_shapes]
        gradients = Gradients(
            d_out.numpy(),
            _arrays(d_weights),
            _arrays(d_tables),
            (d_out if dx is None else dx).numpy(),
            wants_dx,
        )
        rows, layers = ctx.passage.rows(x.contiguous()), ctx.passage.layers(weights)
        backward_all(rows, layers, _arrays(outputs), gradients)
        return dx, None, *d_weights, *(d_table.float() for d_table in d_tables)


def _outputs(
    x: Tensor, passage: Passage, weights: Sequence[Tensor], tables: Sequence[Tensor], keep: bool
) -> list[Tensor]:
    """Return the rows behind each layer, their width padded with zeros to whole registers.

    Of those between layers one block alone where they are not kept: nothing leaves the cache but
    the last.
    """
    between = len(x) if keep else BLOCK
    outputs = []
    for n, weight in enumerate(weights):
        count = len(x) if n == len(weights) - 1 else between
        outputs.append(x.new_empty(count, padded_width(weight.shape[-1])))
    rows, layers = passage.rows(x.detach().contiguous()), passage.layers(weights)
    forward_all(rows, layers, _arrays(tables), _arrays(outputs))
    return outputs


def _arrays(tensors: Sequence[Tensor]) -> Arrays:
    """Return NumPy's views of tensors."""
    return tuple(tensor.detach().numpy() for tensor in tensors)
