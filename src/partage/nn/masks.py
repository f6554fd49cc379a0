"""Masks: each set is the base where it keeps it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor, nn

from partage.errors import UserError
from partage.kernels.masks import shrink_gradients, shrink_rows
from partage.nn.bank import Bank, Sets
from partage.nn.derived import Met, Products, draw, spread, uniform
from partage.nn.pointwise import add_up, elementwise

START = 5.0  # thresholds begin between -10 and -5, each for itself   (Kaleidoscope)


class LearnedMask(nn.Module):
    """``sign(W) max(|W| - sigmoid(s), 0)`` with thresholds s of each set   (Kaleidoscope).

    The bias is the base's. A weight that a set cuts has no gradient from it. One that is `fixable`
    (`fix`) is ``W`` in runs that are `fixed`, where `kept` says so, whatever the thresholds are.
    """

    fixed: Bool[Tensor, "R"]
    kept: Bool[Tensor, "R S I O"]

    def __init__(
        self, bank: Bank, sets: int, generators: Sequence[Generator], fixable: bool = False
    ) -> None:
        super().__init__()
        self.count, self.fixable = sets, fixable
        shape = sets, *bank.weight.shape[2:]
        self.thresholds = nn.Parameter(draw(generators, *shape, fill=uniform(-2 * START, -START)))
        if fixable:
            runs = len(bank.weight)
            self.register_buffer("fixed", torch.zeros(runs, dtype=torch.bool))
            self.register_buffer("kept", torch.ones(runs, *shape, dtype=torch.bool))

    def forward(self, base: Sets) -> Sets:
        weight = shrink(base.weight, self.thresholds)
        if self.fixable:
            weight = torch.where(self._fixed_sets(), base.weight * self.kept, weight)
        return Sets(weight, spread(base.bias, self.count))

    @torch.no_grad()
    def mask(self, base: Sets) -> Bool[Tensor, "R S I O"]:
        """Return which weights each set keeps."""
        learned = shrink(base.weight, self.thresholds) != 0
        return torch.where(self._fixed_sets(), self.kept, learned) if self.fixable else learned

    def _fixed_sets(self) -> Bool[Tensor, "R 1 1 1"]:
        return self.fixed[:, None, None, None]

    def products(self, base: Sets, met: Met) -> Products:
        """Return how many weights and biases two sets both keep.

        What thresholds themselves learn, at most a sixteenth of that, is left out.
        """
        return _both(self.mask(base).float(), met) + base.bias.shape[2]


def shrink(
    weight: Float32[Tensor, "R 1 I O"], thresholds: Float32[Tensor, "R S I O"]
) -> Float32[Tensor, "R S I O"]:
    """Return ``sign(w) max(|w| - sigmoid(s), 0)`` for the thresholds of each set."""
    if weight.device.type != "cpu":
        return shrink_torch(weight, thresholds)
    return Shrunk.apply(weight, thresholds)  # type: ignore[return-value]


def shrink_torch(
    weight: Float32[Tensor, "R 1 I O"], thresholds: Float32[Tensor, "R S I O"]
) -> Float32[Tensor, "R S I O"]:
    """Do as `shrink` in torch's own operations, on any device."""
    kept = weight.abs() - elementwise(torch.sigmoid, thresholds)
    return weight.sign() * kept.relu()


class Shrunk(torch.autograd.Function):
    """`shrink` for torch's gradients (CPU)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, thresholds: Tensor) -> Tensor:
        """Return the weights of each set."""
        ctx.save_for_backward(weight, thresholds)
        out = torch.empty(thresholds.shape)
        shrink_rows(*_laid_out(weight, thresholds), out.flatten(2).numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of what `forward` was given."""
        weight, thresholds = ctx.saved_tensors
        d_weight, d_thresholds = torch.zeros(weight.shape), torch.empty(thresholds.shape)
        shrink_gradients(
            *_laid_out(weight, thresholds),
            grad_outputs[0].contiguous().flatten(2).numpy(),
            d_weight.flatten(1).numpy(),
            d_thresholds.flatten(2).numpy(),
        )
        return d_weight, d_thresholds


def _laid_out(weight: Tensor, thresholds: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer's numbers end to end, as the compiled functions take them."""
    return (
        weight.detach().contiguous().flatten(1).numpy(),
        thresholds.detach().contiguous().flatten(2).numpy(),
    )


class Diverse(torch.autograd.Function):
    """What `diversity` adds up over layers: of one, how much its sets' masks differ."""

    @staticmethod
    def forward(ctx: Any, thresholds: Tensor, weight: Tensor, factor: float) -> Tensor:
        """Return ``-factor sum |w| k (S - k)`` of each run, where k of S sets keep a weight w."""
        kept = shrink(weight, thresholds) != 0
        keepers = kept.sum(1, keepdim=True, dtype=torch.float32)
        ctx.save_for_backward(thresholds, weight, kept, keepers)
        ctx.factor = factor
        differing = weight.abs() * keepers * (kept.shape[1] - keepers)
        return -factor * differing.flatten(1).sum(1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the thresholds' gradient: a mask passes on tanh of its own   (Kaleidoscope)."""
        thresholds, weight, kept, keepers = ctx.saved_tensors
        by_mask = -ctx.factor * weight.abs() * (kept.shape[1] * kept - keepers)
        of_mask = elementwise(torch.tanh, grad_outputs[0].view(-1, 1, 1, 1) * by_mask)
        cut_at = elementwise(torch.sigmoid, thresholds)
        return -of_mask * cut_at * (1 - cut_at), None, None


def diversity(layers: Sequence[Bank]) -> Float32[Tensor, "R"]:
    """Return how much the masks of any two sets differ, as a loss: 0 and less   (Kaleidoscope).

    ``-sum_l w_l sum_{i, j} sum |W_l| |m_li - m_lj| / (S (S - 1) P)``: over layers of weights 1, 2,
    4 and so on, ordered pairs of S sets, and P masked weights. It moves thresholds alone.
    """
    masks = [(bank.weight, bank.derivation) for bank in layers]
    learned = [(weight, x.thresholds) for weight, x in masks if isinstance(x, LearnedMask)]
    if not learned:  # nobody to differ from
        return layers[0].weight.new_zeros(len(layers[0].weight))
    return difference(learned)


def difference(layers: Sequence[tuple[Tensor, Tensor]]) -> Float32[Tensor, "R"]:
    """Return `diversity` of any numbers ``[R, 1, I, O]`` behind thresholds ``[R, S, I, O]``."""
    runs, sets = layers[0][1].shape[:2]
    if sets == 1:
        return layers[0][0].new_zeros(runs)
    pairs = sets * (sets - 1) * sum(numbers[0].numel() for numbers, _ in layers)
    return add_up(
        Diverse.apply(thresholds, numbers, 2 * 2**place / pairs)
        for place, (numbers, thresholds) in enumerate(layers)
    )


@torch.no_grad()
def redraw(bank: Bank, share: float, draws: Mapping[int, Generator]) -> None:
    """Draw weights anew that all sets cut, each with probability `share`, and their thresholds.

    `draws` has a generator for each run that this happens in   (Kaleidoscope's reset).
    """
    mask = bank.derivation
    assert isinstance(mask, LearnedMask)
    kept = mask.mask(Sets(bank.weight, bank.bias)).any(1).cpu()
    for run, generator in draws.items():
        drawn = draw([generator], *kept.shape[1:], fill=uniform(0, 1))[0] < share
        chosen = (drawn & ~kept[run]).to(bank.weight.device)
        bound = kept.shape[1] ** -0.5
        for parameter, low, high in (
            (bank.weight, -bound, bound),
            (mask.thresholds, -2 * START, -START),
        ):
            new = draw([generator], *parameter.shape[1:], fill=uniform(low, high))[0]
            old = parameter.data[run]
            old.copy_(torch.where(chosen, new.to(old.device), old))


@torch.no_grad()
def fix(bank: Bank, moving: Mapping[int, Generator | None]) -> None:
    """Keep these runs' masks as they are from here on, and shrink no more.

    With a generator the places of a run's weights are permuted, alike in all its masks: each keeps
    as many, and any two as many of the same. Ids of agents stay in their places.
    """
    mask = bank.derivation
    assert isinstance(mask, LearnedMask)
    kept = mask.mask(Sets(bank.weight, bank.bias))
    met_by_all = (bank.inputs + bank.one_hot) * kept.shape[3]
    for run, generator in moving.items():
        places = kept[run].flatten(1)
        if generator is not None:
            order = torch.randperm(met_by_all, generator=generator).to(places.device)
            places[:, :met_by_all] = places[:, order]
        mask.kept[run], mask.fixed[run] = places.view_as(kept[run]), True


def check_keep(keep: float) -> None:
    """Raise `UserError` for a rate that is none, or keeps nothing."""
    if not 0 < keep <= 1:  # NaN neither
        raise UserError(f"A mask keeps a share of weights above 0 and at most 1, not {keep}.")


class FixedMask(nn.Module):
    """``W`` and bias where a set keeps them, zero elsewhere, for good   (SNP-PS).

    ``weight [R, S, I, O]`` and ``bias [R, S, O]`` say what is kept; `whole_neurons` makes them of
    neurons.
    """

    weight: Bool[Tensor, "R S I O"]
    bias: Bool[Tensor, "R S O"]

    def __init__(self, weight: Bool[Tensor, "R S I O"], bias: Bool[Tensor, "R S O"]) -> None:
        super().__init__()
        self.count = weight.shape[1]
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, base: Sets) -> Sets:
        weight, bias = spread(base.weight, self.count), spread(base.bias, self.count)
        return Sets(weight * self.weight, bias * self.bias)

    def products(self, base: Sets, met: Met) -> Products:
        """Return how many weights and biases two sets both keep."""
        bias = self.bias.float()
        return _both(self.weight.float(), met) + bias @ bias.transpose(1, 2)


def whole_neurons(
    inputs: Bool[Tensor, "R S I"], outputs: Bool[Tensor, "R S O"]
) -> tuple[Bool[Tensor, "R S I O"], Bool[Tensor, "R S O"]]:
    """Return the masks of `FixedMask` that keep these neurons before and behind the layer."""
    return inputs[..., None] & outputs[:, :, None], outputs


def drawn_mask(
    generators: Sequence[Generator], keep: float, *shape: int
) -> Bool[Tensor, "R *shape"]:
    """Return masks that keep each entry with probability `keep`, independently.

    Raises `UserError` for a rate that is none, or keeps nothing.
    """
    check_keep(keep)
    return draw(generators, *shape, fill=uniform(0, 1)) < keep


def _both(kept: Float32[Tensor, "R S I O"], met: Met) -> Products:
    """Return how many weights two sets both keep, of inputs that both their agents have."""
    counted = (kept * met[..., None]).flatten(2)
    return counted @ counted.transpose(1, 2)
