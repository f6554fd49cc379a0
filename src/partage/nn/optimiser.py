"""One optimiser for R runs side by side, each clipped by its own gradient's norm."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from partage.nn import rates
from partage.nn.adam import AdamOfRuns, run_of_elements
from partage.nn.bank import refuse_derived
from partage.nn.per_run import Each, along, first
from partage.nn.pointwise import ALIGNED


class Optimiser:
    """A torch optimiser over all of a module's parameters, laid end to end in one tensor.

    One tensor is one pass instead of one per parameter. Padded to whole vector registers, it also
    makes every element take the same arithmetic whatever the number of runs: a run's updates do not
    depend on its pack, to the last bit.
    """

    def __init__(
        self,
        module: nn.Module,
        make: Callable[[list[Tensor]], torch.optim.Optimizer],
        clip: Each[float],
        lr: Each[float] | None = None,  # the rate, where it may be each run's own
    ) -> None:
        self.parameters, self.clip = list(module.parameters()), clip
        self.sizes = [p.numel() for p in self.parameters]
        values = torch.cat([p.detach().flatten() for p in self.parameters])
        self.flat = nn.Parameter(functional.pad(values, (0, -len(values) % ALIGNED)))
        self._lie_end_to_end()
        self.torch = make([self.flat])
        self.lr = rates.of_runs(self.torch, lr)
        self.run_of: Int64[Tensor, "E"] | None = None  # of each number; None: a step may ask
        if self.flat.device.type != "cpu":
            self.make_unasked()
        self._count_on_card()

    def set_rate(self, lr: Each[float]) -> None:
        """Go on at another rate."""
        self.torch.param_groups[0]["lr"], self.lr = first(lr), rates.of_runs(self.torch, lr)

    def make_unasked(self) -> None:
        """Take steps without asking who is active: a card would have to be waited for."""
        self.run_of = self._run_of()

    def _run_of(self) -> Int64[Tensor, "E"]:
        """Return the run of each number."""
        run_of = run_of_elements(self.parameters)
        return functional.pad(run_of, (0, len(self.flat) - len(run_of))).to(self.flat.device)

    def _count_on_card(self) -> None:
        """Have torch's optimiser count its steps on a card, where the parameters are there."""
        on_card = self.flat.device.type == "cuda"
        for group in self.torch.param_groups:
            if "capturable" in group:
                group["capturable"] = on_card
        for name, x in self.torch.state[self.flat].items():
            self.torch.state[self.flat][name] = x.to(self.flat.device)

    def _lie_end_to_end(self) -> None:
        """Make the parameters views of the one tensor, and give that a gradient to fill."""
        self.flat.grad = torch.zeros_like(self.flat)
        for p, values in zip(self.parameters, self._parts(self.flat.data), strict=True):
            p.data = values.view_as(p)
        self.gradients = self._by_run(self.flat.grad)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of (pickle, cloudpickle, `copy.deepcopy`)."""
        return {name: value for name, value in vars(self).items() if name != "gradients"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take it over; copied tensors have memory of their own each, which nothing would train."""
        vars(self).update(state)
        self._lie_end_to_end()

    def state_dict(self) -> dict[str, Any]:
        """Return what it keeps, that of each number run by run ``[R, P]``."""
        kept: dict[str, Any] = {}
        for name, x in self.torch.state[self.flat].items():
            kept[name] = self._by_run(x) if x.shape == self.flat.shape else x
        return {"kept": kept}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a copy of what `state_dict` returned, which may be another's.

        Or ``torch.state_dict()``, as older code saved it. Raises `ValueError` for other sizes.
        """
        if "kept" in state:
            kept = {name: self._end_to_end(x) for name, x in state["kept"].items()}
            state = {**self.torch.state_dict(), "state": {0: kept} if kept else {}}
        own = {name: x.shape for name, x in self.torch.state[self.flat].items()}
        self.torch.load_state_dict(deepcopy(dict(state)))
        self._count_on_card()
        for name, x in self.torch.state[self.flat].items():
            # torch's own optimisers have neither moments nor a count before their first step
            if x.shape not in ({own[name]} if own else {self.flat.shape, torch.Size()}):
                raise ValueError(f"{name} of the optimiser is of shape {list(x.shape)}")

    def _parts(self, flat: Tensor) -> Sequence[Tensor]:
        """Return each parameter's part of a tensor in which they are laid end to end."""
        return flat[: sum(self.sizes)].split(self.sizes)

    def _end_to_end(self, kept: Tensor | list[Tensor]) -> Tensor:
        """Return what was kept run by run as torch has it."""
        if isinstance(kept, Tensor):
            return kept
        values = torch.cat([x.flatten() for x in kept])
        return functional.pad(values, (0, len(self.flat) - len(values)))

    def _values_and_moments(self) -> list[Tensor]:
        """Return the parameters laid end to end, and what the optimiser keeps of each of them."""
        kept = self.torch.state[self.flat].values()
        return [self.flat.data, *(x for x in kept if x.shape == self.flat.shape)]

    def _by_run(self, flat: Tensor) -> list[Float32[Tensor, "R P"]]:
        """Return each parameter's part of a tensor in which they lie end to end, run by run."""
        pairs = zip(self.parameters, self._parts(flat), strict=True)
        return [part.view(len(p), -1) for p, part in pairs]

    @torch.no_grad()
    def copy_set(self, module: nn.Module, run: int, source: int, target: int) -> None:
        """Make parameter set `target` of one run's banks in `module` what set `source` is.

        Values and the optimiser's moments are copied. Raises `UserError` for sets that are derived
        from what others have too.
        """
        refuse_derived(module)

        def copy(sets: Tensor) -> None:
            sets[run, target] = sets[run, source]

        self.change(module, copy)

    def mix_sets(
        self, module: nn.Module, run: int, shares: Mapping[int, Mapping[int, float]]
    ) -> None:
        """Make sets of one run's banks in `module` sums of what sets were, all at once.

        ``{2: {0: 0.25, 1: 0.75}}`` makes set 2 a quarter of set 0 and three of set 1: values, and
        the optimiser's moments. Raises `UserError` as `copy_set` does.
        """
        refuse_derived(module)

        def mix(sets: Tensor) -> None:
            before = sets[run].clone()
            for target, parts in shares.items():
                weighted = [share * before[source] for source, share in parts.items()]
                sets[run, target] = torch.stack(weighted).sum(0)

        self.change(module, mix)

    @torch.no_grad()
    def change(self, module: nn.Module, how: Callable[[Float32[Tensor, "R *P"]], None]) -> None:
        """Change the parameters of `module` in place, and the moments of each of them alike."""
        wanted = {id(p) for p in module.parameters()}
        for flat in self._values_and_moments():
            for p, part in zip(self.parameters, self._parts(flat), strict=True):
                if id(p) in wanted:
                    how(part.view_as(p))

    @torch.no_grad()
    def forget(self, where: Bool[Tensor, "R"]) -> None:
        """Begin the moments of the runs marked again, with zeros."""
        for moments in self._values_and_moments()[1:]:
            for of_runs in self._by_run(moments):
                of_runs[where] = 0

    def step(
        self, loss: Float32[Tensor, "R"], active: Bool[Tensor, "R"] | None = None
    ) -> Float32[Tensor, "R"]:
        """Descend the runs' losses, each run's gradient scaled to at most the norm `clip`.

        Returns the norms before. The losses are summed, so each run gets the gradient it would get
        alone. Runs that are not `active` (None: all are) stay as they are: neither their parameters
        nor their moments move. A gradient that is not finite counts as zero: a run that diverges is
        left with parameters that are numbers, and its norms say so.
        """
        for p in self.parameters:
            p.grad = None
        (loss if active is None else torch.where(active, loss, 0.0)).sum().backward()
        gradients = [_gradient(p) for p in self.parameters]
        norms = [torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients]
        norm = torch.stack(norms, 1).square().sum(1).sqrt()
        scale = self.clipping(norm)[:, None]
        for gradient, scaled in zip(gradients, self.gradients, strict=True):
            torch.mul(gradient, scale, out=scaled)
        moving = torch.ones_like(norm, dtype=torch.bool) if active is None else active
        counts = norm.isfinite() & moving
        if self.run_of is not None:
            self._step_unasked(counts, moving, self.run_of)
            return norm
        if not counts.all():
            for scaled in self.gradients:
                scaled[~counts] = 0
        if isinstance(self.torch, AdamOfRuns):  # counts each run's steps, and moves those alone
            self.torch.stepping = moving
            self.torch.step()
        elif moving.all():
            self._move()
        else:
            self._step_all_but(~moving)
        return norm

    def clipping(self, norm: Float32[Tensor, "R"]) -> Float32[Tensor, "R"]:
        """Return what gradients of these norms are multiplied by, divided as torch divides."""
        return ((norm + 1e-6).reciprocal() * along(self.clip, norm)).clamp(max=1.0)

    @torch.no_grad()
    def _step_unasked(
        self, counts: Bool[Tensor, "R"], active: Bool[Tensor, "R"], run_of: Int64[Tensor, "E"]
    ) -> None:
        """Take the optimiser's step of the active runs; gradients that do not count are zero."""
        for scaled in self.gradients:
            scaled.masked_fill_(~counts[:, None], 0.0)
        if isinstance(self.torch, AdamOfRuns):
            self.torch.stepping = active
            self.torch.step()
            return
        before = [x.clone() for x in self._values_and_moments()]
        self._move()
        after = self._values_and_moments()
        before += [torch.zeros_like(x) for x in after[len(before) :]]  # made by the first step
        moves = active[run_of]
        for now, was in zip(after, before, strict=True):
            now.copy_(torch.where(moves, now, was))

    @torch.no_grad()
    def _move(self) -> None:
        """Take torch's step, each run at its own rate."""
        if self.lr is None:
            self.torch.step()
            return
        before = self.flat.detach().clone()
        self.torch.step()
        run_of = self._run_of() if self.run_of is None else self.run_of
        self.flat.copy_(rates.moved(self.torch, before, self.flat, self.lr.values, run_of))

    @torch.no_grad()
    def _step_all_but(self, still: Bool[Tensor, "R"]) -> None:
        """Take the optimiser's step, and put back what it did to these runs."""
        kept = self._values_and_moments()  # moments that the first step makes begin as zeros
        parts = [part for flat in kept for part in self._by_run(flat)]
        before = [part[still] for part in parts]
        self._move()
        for part, was in zip(parts, before, strict=True):
            part[still] = was


def _gradient(parameter: Tensor) -> Float32[Tensor, "R P"]:
    """Return each run's gradient of a parameter, zeros where nothing depends on it."""
    gradient = parameter.new_zeros(()) if parameter.grad is None else parameter.grad
    return gradient.expand_as(parameter).flatten(1)
