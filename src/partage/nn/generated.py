"""Generated sets: each is a sum of what all share, with weights of its own.

A mixture adds whole sets up; a hypernetwork adds up blocks by features of a code, which is the same
with more words; a spectrum adds up products of one column before and one behind the layer.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Generator, Tensor, nn

from partage.nn.bank import Bank, Init, Sets, linear_init
from partage.nn.dense import Layer, apply_layers
from partage.nn.derived import Met, Products, draw, in_common, multiply, spread, uniform
from partage.nn.masks import START, difference
from partage.nn.pointwise import add_up, elementwise
from partage.sharing import assignment


class Mixture(nn.Module):
    """``sum_k g_k W_k`` over the base's K sets, softly: g ``[R, S, K]`` is trained with them."""

    def __init__(self, shares: Float32[Tensor, "R S K"]) -> None:
        super().__init__()
        self.count = shares.shape[1]
        self.shares = nn.Parameter(shares)

    def forward(self, base: Sets) -> Sets:
        return Sets(*(combined(self.shares, x) for x in base))

    @torch.no_grad()
    def products(self, base: Sets, met: Met) -> Products:
        """Return those by the base's sets; what the shares themselves learn is left out."""
        alike = self.shares @ self.shares.transpose(1, 2)
        return (in_common(met) + 1) * base.bias.shape[2] * alike


def combined(
    shares: Float32[Tensor, "R S K"],
    blocks: Float32[Tensor, "R K *P"],
    add: Float32[Tensor, "R 1 *P"] | None = None,
) -> Float32[Tensor, "R S *P"]:
    """Return for each set the sum of blocks with its shares, and of `add`, which all have."""
    constant = None if add is None else add.flatten(2)
    sums = multiply(shares[:, None], blocks.flatten(2)[:, None], constant)
    return sums.squeeze(1).unflatten(2, blocks.shape[2:])


class Hypernetwork(nn.Module):
    """Weight and bias are the base's, plus blocks added up by features of the set's code.

    A code ``[S, E]`` is the same in all runs at the start; a parameter ``[R, S, E]`` is taken as it
    is, and may be that of several layers. With `hidden` units its features are ``relu(W code +
    b)``, where `features` draws W and b; else they are the code itself: then a one-hot code makes
    sets of their own beside the base   (HyperMARL: weight and bias have networks of their own).
    `init` draws each block.
    """

    code: Tensor  # [R, S, E]

    def __init__(
        self,
        bank: Bank,
        code: Float32[Tensor, "S E"] | nn.Parameter,
        generators: Sequence[Generator],
        hidden: int = 0,
        init: Init = linear_init,
        learned: bool = True,
        features: Init = linear_init,
    ) -> None:
        super().__init__()
        runs, _, inputs, outputs = bank.weight.shape
        self.count, width = code.shape[-2:]
        if isinstance(code, nn.Parameter):
            self.code = code
        elif learned:
            self.code = nn.Parameter(code.repeat(runs, 1, 1))
        else:
            self.register_buffer("code", code.repeat(runs, 1, 1))
        # each set has a block of its own and no other, so nothing is multiplied
        self.one_hot = not (learned or hidden) and code.equal(torch.eye(self.count))
        # a set of it for the weight, one for the bias
        self.hidden = Bank(generators, 2, width, hidden, features) if hidden else None
        blocks = Bank(generators, hidden or width, inputs, outputs, init)
        self.weight_blocks, self.bias_blocks = blocks.weight, blocks.bias

    @torch.no_grad()
    def scale_blocks(self) -> None:
        """Divide the weights' blocks by the features' size, so that sets begin as `init` draws."""
        for_weight, _ = self.features()
        size = for_weight.square().sum(2).mean(1).sqrt()  # root mean square over the sets
        self.weight_blocks /= size[:, None, None, None]

    def features(self) -> tuple[Float32[Tensor, "R S H"], Float32[Tensor, "R S H"]]:
        """Return the features of the codes, for weights and for biases."""
        if self.hidden is None:
            return self.code, self.code
        rows = self.code[:, None, None].expand(-1, 2, -1, -1, -1)
        for_weight, for_bias = self.hidden(rows, assignment.none(len(rows), 2), relu=True).unbind(1)
        return for_weight[:, 0], for_bias[:, 0]

    def forward(self, base: Sets) -> Sets:
        if self.one_hot:
            return Sets(base.weight + self.weight_blocks, base.bias + self.bias_blocks)
        everyone = assignment.full(len(self.code), 1)
        layers = () if self.hidden is None else (self.hidden.select(everyone, relu=True),)
        rows = self.code[:, None, None]
        weight = _through(rows, layers, self.weight_blocks, base.weight)
        layers = tuple(layer._replace(sharing=everyone + 1) for layer in layers)
        return Sets(weight, _through(rows, layers, self.bias_blocks, base.bias))

    @torch.no_grad()
    def products(self, base: Sets, met: Met) -> Products:
        """Return those by base and blocks; what the code and its features learn is left out."""
        by_base = float(isinstance(base.weight, nn.Parameter))  # else it is not trained
        for_weight, for_bias = (by_base + x @ x.transpose(1, 2) for x in self.features())
        return (in_common(met) * for_weight + for_bias) * base.bias.shape[2]


def _through(
    codes: Float32[Tensor, "R 1 1 S E"],
    layers: tuple[Layer, ...],
    blocks: Float32[Tensor, "R K *P"],
    base: Float32[Tensor, "R 1 *P"],
) -> Float32[Tensor, "R S *P"]:
    """Return the base and blocks, added up by the codes' features: in one call with `layers`."""
    runs, count = len(blocks), codes.shape[3]
    sums = Layer(
        blocks.view(runs, 1, blocks.shape[1], -1),
        base.view(runs, 1, 1, -1),
        assignment.full(runs, 1),
    )
    return apply_layers(codes, [*layers, sums]).reshape(runs, count, *blocks.shape[2:])


class Spectrum(nn.Module):
    """``U diag(f) V^T`` with f the shared spectrum behind each set's mask   (Prism, as read).

    ``f = sign(d) max(|d| - sigmoid(s), 0)`` for the spectrum d that all share and thresholds s of
    each set. The bank's weight is taken apart at the start: from then on it is U.
    """

    def __init__(self, bank: Bank, sets: int, generators: Sequence[Generator]) -> None:
        super().__init__()
        self.count = sets
        left, spectrum, right = zip(*map(_taken_apart, bank.weight.detach()), strict=True)
        bank.weight = nn.Parameter(torch.stack(left))
        self.spectrum, self.right = (nn.Parameter(torch.stack(x)) for x in (spectrum, right))
        start = draw(generators, sets, len(spectrum[0][0]), fill=uniform(-2 * START, -START))
        self.thresholds = nn.Parameter(start)

    def masked(self) -> Float32[Tensor, "R S K"]:
        """Return the spectrum of each set."""
        spectrum = spread(self.spectrum, self.count)
        kept = spectrum.abs() - elementwise(torch.sigmoid, self.thresholds)
        return spectrum.sign() * kept.relu()

    def forward(self, base: Sets) -> Sets:
        right = spread(self.right.transpose(2, 3), self.count) * self.masked()[..., None]
        weight = multiply(spread(base.weight, self.count), right)
        return Sets(weight, spread(base.bias, self.count))

    @torch.no_grad()
    def products(self, base: Sets, met: Met) -> Products:
        """Return those by U, V and bias; what spectrum and thresholds learn is left out.

        Where U and V are orthogonal this is the product of the masked spectra, I + O times.
        """
        spectra, left, right = self.masked(), base.weight[:, 0], self.right[:, 0]
        by_left = in_common(met) * _products(spectra * right.square().sum(1, True).sqrt())
        pairs = (met[:, None] * met).flatten(0, 1).expand(len(left), 1, -1, -1)
        both = multiply(pairs, left.square()[:, None]).view(len(left), *by_left.shape[1:], -1)
        by_right = (both * spectra[:, :, None] * spectra[:, None]).sum(3)
        outputs = base.bias.shape[2]
        return by_left + outputs * by_right + outputs


def spectra_differ(layers: Sequence[Bank]) -> Float32[Tensor, "R"]:
    """Return how much the masks of any two spectra differ, as `partage.nn.masks.diversity` does."""
    spectra = [x for x in (bank.derivation for bank in layers) if isinstance(x, Spectrum)]
    return difference([(x.spectrum[..., None], x.thresholds[..., None]) for x in spectra])


def orthogonality(layers: Sequence[Bank]) -> Float32[Tensor, "R"]:
    """Return ``sum |U^T U - 1|^2 + |V^T V - 1|^2`` over layers, which is 0 at the start."""
    spectra = [(bank.weight, bank.derivation) for bank in layers]
    sides = [(left, x.right) for left, x in spectra if isinstance(x, Spectrum)]
    return add_up(_off_orthogonal(side) for both in sides for side in both)


def _off_orthogonal(columns: Float32[Tensor, "R 1 P K"]) -> Float32[Tensor, "R"]:
    products = multiply(columns.transpose(2, 3), columns)
    off = products - torch.eye(columns.shape[3], device=columns.device)
    return off.square().flatten(1).sum(1)


def _products(x: Float32[Tensor, "R S K"]) -> Products:
    return multiply(x[:, None], x.transpose(1, 2)[:, None])[:, 0]


def _taken_apart(weight: Float32[Tensor, "1 I O"]) -> tuple[Tensor, Tensor, Tensor]:
    """Return U ``[1, I, K]``, the spectrum ``[1, K]`` and V ``[1, O, K]`` of one run's weight."""
    left, spectrum, right = torch.linalg.svd(weight, full_matrices=False)
    return left, spectrum, right.transpose(1, 2)
