"""Adam for R runs side by side, which need not take equally many steps."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn

BETAS = (0.9, 0.999)  # decay of the means of gradients and of their squares   (Adam)
EPSILON = 1e-8  # added to the root of the latter   (Adam)


def run_of_elements(parameters: Iterable[Tensor]) -> Int64[Tensor, "E"]:
    """Return the run of every number of parameters ``[R, ...]``, laid end to end."""
    return torch.cat([torch.arange(len(p)).repeat_interleave(p[0].numel()) for p in parameters])


class AdamOfRuns(torch.optim.Optimizer):
    """Adam in which each run counts its own steps, and only those that are `stepping` move.

    Its one parameter is a module's numbers laid end to end (`Optimiser`), padded at the end.
    """

    def __init__(self, parameters: list[Tensor], lr: float, run_of: Int64[Tensor, "E"]) -> None:
        super().__init__(parameters, {"lr": lr})
        (flat,) = parameters
        padding = run_of.new_zeros(len(flat) - len(run_of))  # moves nothing: it has no gradient
        self.run_of = torch.cat((run_of, padding)).to(flat.device)
        runs = int(run_of.max()) + 1
        self.stepping = torch.ones(runs, dtype=torch.bool, device=flat.device)
        self.state[flat] = {
            "mean": torch.zeros_like(flat.data),
            "square": torch.zeros_like(flat.data),
            "step": torch.zeros(runs, device=flat.device),  # float: as torch loads it
        }

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take a step of the runs that are `stepping`."""
        (group,) = self.param_groups
        (flat,) = group["params"]
        state, moves = self.state[flat], self.stepping.to(flat.device).float()
        state["step"] += moves
        count = state["step"].clamp(min=1)
        rates = [moves * (1 - beta) for beta in BETAS]
        corrections = [1 - beta**count for beta in BETAS]
        size = group["lr"] * moves / corrections[0]
        state["mean"].lerp_(flat.grad, rates[0][self.run_of])
        state["square"].lerp_(flat.grad.square(), rates[1][self.run_of])
        root = (state["square"] / corrections[1][self.run_of]).sqrt_().add_(EPSILON)
        flat -= size[self.run_of] * state["mean"] / root


def adam_of_runs(module: nn.Module, lr: float) -> Callable[[list[Tensor]], AdamOfRuns]:
    """Return what `Optimiser` makes its optimiser of this module with."""
    run_of = run_of_elements(module.parameters())
    return lambda parameters: AdamOfRuns(parameters, lr, run_of)
