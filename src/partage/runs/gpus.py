"""Which GPU a process trains on: one that no other process of ours on this machine has taken.

Snakemake can count the GPUs of a machine (``--resources gpu=4``), but gives none of them to a job
in particular. Here a GPU is a file that is locked: the kernel lets go of it when the process ends,
however it ends. Standard library only.
"""

import fcntl
import math
import os
import subprocess
import tempfile
import time
from pathlib import Path

from partage import _io
from partage.errors import UserError

POLL = 1.0  # seconds between two searches for a free one


def take(per_gpu: int = 1) -> None:
    """Wait for a GPU with fewer than `per_gpu` processes, and make this process see no other.

    Nothing is done where there is no choice: a scheduler that gives a job one GPU has chosen
    already (and may number the GPUs of each job from 0), and where there is none torch will say so.
    """
    gpus = visible()
    if len(gpus) > 1 or (gpus and "CUDA_VISIBLE_DEVICES" not in os.environ):
        os.environ["CUDA_VISIBLE_DEVICES"] = claim(gpus, per_gpu)


def visible() -> list[str]:
    """Return the GPUs this process may use: those that CUDA_VISIBLE_DEVICES names, else all."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu.strip() for gpu in named.split(",") if gpu.strip()]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


def memory() -> float:
    """Return the bytes of the smallest GPU's memory here; infinite where nobody tells."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return min(float(line) * 2**20 for line in done.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):  # none, or a word for a number
        return math.inf


def claim(gpus: list[str], per_gpu: int) -> str:
    """Wait for the first free one of the GPUs and return it; it is held until this process ends.

    Those with the fewest processes come first. Raises `UserError` where that cannot be noted.
    """
    folder = Path(tempfile.gettempdir()) / f"partage-gpus-{os.getuid()}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(
            f"Could not make {folder} ({error.strerror}), where GPUs in use are noted: name a "
            "folder that can be written in TMPDIR, then repeat."
        ) from error
    announced = False
    while True:
        for place in range(per_gpu):
            for gpu in gpus:
                if _lock(folder / f"{gpu}-{place}"):
                    return gpu
        if not announced:
            print(f"partage: all GPUs ({', '.join(gpus)}) are taken: waiting for one.", flush=True)
            announced = True
        time.sleep(POLL)


def _lock(path: Path) -> bool:
    """Lock a file until this process ends; return whether it was free."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    if not _io.is_at(handle, path):  # removed meanwhile (temporary files are): who holds the new?
        os.close(handle)
        return _lock(path)
    return True  # the handle stays open
