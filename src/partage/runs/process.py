"""The process a run trains in: its threads, its memory, and the signals that ask it to stop."""

import ctypes
import os
import signal
from collections.abc import Mapping
from typing import Any

import torch

from partage.errors import UserError


def prepare(device: str) -> None:
    """Settings of the process: one thread (the networks are small), memory kept instead of
    returned, no denormals.
    """
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise UserError(
                f"Device {device!r} was asked for, but torch {torch.__version__} finds no GPU: use --device cpu."
            )
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    elif device != "cpu":
        raise UserError(f"Unknown device {device!r}: expected cpu, cuda or cuda:<number>.")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:  # glibc gives large blocks back at once, and the next update pays for every page again
        libc = ctypes.CDLL(None)
        for option, value in (
            (-4, 0),
            (-1, -1),
            (-2, 1 << 26),
        ):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            libc.mallopt(option, value)
    except (OSError, AttributeError):
        pass  # another C library: slower, not wrong


class Stop:
    """Notes SIGTERM (a scheduler's time limit) and SIGINT (Ctrl-C), to be heeded between two
    updates.
    """

    def __enter__(self) -> "Stop":
        self.code = 0
        self.before: Mapping[int, Any] = {
            s: signal.signal(s, self._note) for s in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def _note(self, number: int, frame: object) -> None:
        self.code = 128 + number

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
