"""The process a run trains in: its threads, its memory, and the signals that ask it to stop."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from partage.errors import UserError
from partage.kernels import gemm

# variables by which libraries are told which instructions to compute with
CHOOSE_INSTRUCTIONS = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_ENABLE_AVX",
)
# options of glibc's mallopt
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


class Clocks(NamedTuple):
    """Seconds of wall-clock time and of this process's CPU time."""

    wall: float
    cpu: float

    @staticmethod
    def now() -> "Clocks":
        """Return what the clocks show."""
        return Clocks(time.monotonic(), time.process_time())


def prepare(device: str) -> None:
    """Set up the process: one thread, as the networks are small; no denormals; a device.

    Raises `UserError` for a device that is not there.
    """
    if device.startswith("cuda"):
        _prepare_cuda(device)
    elif device != "cpu":
        raise UserError(f"Unknown device {device!r}: expected cpu, cuda or cuda:<number>.")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    _keep_freed_memory()


def _prepare_cuda(device: str) -> None:
    if not torch.cuda.is_available():
        raise UserError(
            f"Device {device!r} was asked for, but torch {torch.__version__} finds no GPU: use "
            f"--device cpu."
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]


def vectors() -> dict[str, str]:
    """Return which vector instructions compute, by library, and what the environment chose.

    They move the last bits of numbers: two machines, or one that was told to do without some, part
    by a millionth.
    """
    found = {"torch": torch.backends.cpu.get_cpu_capability(), "kernels": str(gemm.REGISTERS)}
    found |= {name: os.environ[name] for name in CHOOSE_INSTRUCTIONS if os.environ.get(name)}
    return found


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed.

    It gives large blocks back at once, and the next update pays for every page again.
    """
    # with another C library it is slower, not wrong
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
        libc.mallopt(M_TOP_PAD, 1 << 26)


class Stop:
    """Note SIGTERM (a scheduler's time limit), SIGINT (Ctrl-C) and SIGHUP (a terminal that closes).

    They count at the end of an update; `code` is the exit code that the signal asks for, 0 without
    one. A SIGHUP that is ignored, as under nohup, stays so.
    """

    def __enter__(self) -> "Stop":
        self.code = 0
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        self._handlers_before: Mapping[int, Any] = {
            number: signal.signal(number, self._note) for number in numbers
        }
        return self

    def _note(self, number: int, frame: object) -> None:
        self.code = 128 + number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
