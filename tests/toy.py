"""A simulator of one copy that does as its actions say: for the tests of the worker pool."""

import json
import os
import pickle
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partage.sims.single import Instant

STAY, RAISE, HANG, EXIT, CRASH, END, MEET = range(7)  # what the first agent's action makes it do


class Toy:
    """Agents see the episode's seed (as three numbers), the step and the copy. Each step is worth
    one.
    """

    def __init__(self, copy: int, litter: str = "", broken: bool = False) -> None:
        if broken:
            raise OSError("no such game")
        self.copy, self.numbers, self.t, self.litter = copy, np.zeros(3), 0, Path(litter)
        if litter:  # a child that outlives this process, a file, and a note of both
            child, folder = subprocess.Popen(["sleep", "1000"]), Path(tempfile.gettempdir())
            (folder / "map").write_text("a map")
            (folder / "note").write_text(
                json.dumps({"pids": [os.getpid(), child.pid], "folder": str(folder)})
            )
            (folder / "note").rename(self.litter / f"{os.getpid()}.json")  # there at once, whole

    def reset(self, seed: int | None) -> Instant:
        assert seed is not None
        self.numbers, self.t = np.random.default_rng(seed).random(3), 0
        return self.instant(0.0)

    def step(self, actions: Sequence[int]) -> Instant:
        self.t += 1
        match actions[0]:
            case 1:
                raise ValueError("the ball is lost")
            case 2:
                time.sleep(1000)
            case 3:
                os._exit(7)
            case 4:
                os.kill(os.getpid(), signal.SIGSEGV)
            case 6:  # there are two
                (self.litter / f"{self.copy}.here").touch()
                while len(list(self.litter.glob("*.here"))) < 2:
                    time.sleep(0.01)
        return self.instant(1.0, actions[0] == END)

    def instant(self, reward: float, terminated: bool = False) -> Instant:
        view = np.array([*self.numbers, self.t, self.copy], np.float32)
        return Instant(np.stack([view, view]), view, [reward] * 2, reward, terminated)

    def save(self) -> bytes:
        return pickle.dumps((self.numbers, self.t))

    def load(self, saved: bytes) -> None:
        self.numbers, self.t = pickle.loads(saved)

    def close(self) -> None:
        pass


class Forgetful(Toy):
    """It cannot save."""

    def save(self) -> bytes:
        return b""
