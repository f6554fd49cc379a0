"""Where the copies of a compiled simulator are played: the option ``device`` of its family."""

from collections.abc import Callable, Sequence

from partage.sims.batch import Batched
from partage.sims.contract import Spec, TimeLimit
from partage.sims.gpu import OnGpu
from partage.sims.kernel import Kernel

DEVICES = ("cpu", "cuda")  # default first


def batched(
    device: str,
    spec: Spec,
    kernel: Callable[[int], Kernel],
    seeds: Sequence[int],
    copies: int,
    time_limit: TimeLimit,
) -> Batched | OnGpu:
    """Return R x B copies of a simulator on that device.

    `kernel` builds it for that many copies. Raises `UserError` for "cuda" where there is no GPU.
    """
    holder = OnGpu if device == "cuda" else Batched
    return holder(spec, kernel, seeds, copies, time_limit)
