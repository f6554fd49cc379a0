"""Learning rates that differ from run to run, with torch's own RMSprop and Adam.

What these keep of gradients does not hang on the rate, so torch's step makes it; where parameters
move to is then said here, in torch's order of operations: on the CPU each run ends where torch's
step with its own rate alone brings it, to the last bit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from partage.nn.per_run import Each, PerRun

Group = Mapping[str, Any]  # torch's table of an optimiser's settings
State = Mapping[str, Tensor]  # what it keeps of the one parameter


def of_runs(optimiser: torch.optim.Optimizer, lr: Each[float] | None) -> PerRun | None:
    """Return the runs' rates, if they differ. Raises `TypeError` for an optimiser that has one."""
    if not isinstance(lr, PerRun):
        return None
    if type(optimiser) not in (torch.optim.RMSprop, torch.optim.Adam):
        kind = type(optimiser).__name__
        raise TypeError(f"rates differ from run to run with RMSprop and Adam alone, not {kind}")
    return lr


def moved(
    optimiser: torch.optim.Optimizer,
    before: Float32[Tensor, "E"],
    parameter: Tensor,
    rates: Sequence[float],
    run_of: Int64[Tensor, "E"],
) -> Float32[Tensor, "E"]:
    """Return what was ``before`` after a step at each number's own run's rate.

    `optimiser` has taken the step at any rate, and `parameter` has its gradient.
    """
    (group,) = optimiser.param_groups
    state: State = optimiser.state[parameter]
    if isinstance(optimiser, torch.optim.RMSprop):
        assert parameter.grad is not None
        direction, root = parameter.grad, state["square_avg"].sqrt() + group["eps"]
        sizes = torch.tensor([-rate for rate in rates], device=before.device)
    else:
        direction = state["exp_avg"]
        root, sizes = _of_adam(group, state, rates)
    return before + sizes[run_of] * direction / root


def _of_adam(group: Group, state: State, rates: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the root of Adam's squares, and each run's step."""
    square, count = state["exp_avg_sq"], state["step"]
    if square.device.type == "cpu":  # in Python's floats, as torch computes it
        corrections = [1 - beta ** float(count) for beta in group["betas"]]
        sizes = torch.tensor([-(rate / corrections[0]) for rate in rates])
        # torch's kernel takes exact roots, and its operation on tensors the vector library's
        root = torch.from_numpy(np.sqrt(square.numpy())) / torch.tensor(corrections[1] ** 0.5)
    else:  # a card is not asked
        corrections = [1 - beta ** count.double() for beta in group["betas"]]
        each = [-(rate / corrections[0]) for rate in rates]
        sizes = torch.stack(each).flatten().float()
        root = square.sqrt() / corrections[1].sqrt().float()
    return root + group["eps"], sizes
