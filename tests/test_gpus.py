"""Each local run gets a GPU of its own: here with numbers of GPUs that do not exist."""

import multiprocessing
import os
import signal
from pathlib import Path
from queue import Empty

import pytest

from partage.runs import gpus


@pytest.fixture
def machine(tmp_path: Path, monkeypatch) -> Path:
    """A machine whose driver lists GPUs 0 and 1."""
    listing = tmp_path / "nvidia-smi"
    listing.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    listing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(gpus.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(gpus, "POLL", 0.02)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def hold(queue, per_gpu: int) -> None:
    gpus.take(per_gpu)
    queue.put((os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]))
    signal.pause()


def holders(count: int, per_gpu: int = 1):
    """Processes that each ask for a GPU, and the queue in which they say which they got."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [
        context.Process(target=hold, args=(queue, per_gpu), daemon=True) for _ in range(count)
    ]
    for process in processes:
        process.start()
    return {process.pid: process for process in processes}, queue


def end(processes) -> None:
    for process in processes.values():
        process.kill()
        process.join()


def test_two_processes_get_different_gpus_and_a_third_waits_until_one_is_killed(machine: Path):
    processes, queue = holders(3)
    got = dict(queue.get(timeout=20) for _ in range(2))
    assert sorted(got.values()) == ["0", "1"]
    with pytest.raises(Empty):
        queue.get(timeout=0.3)
    first = next(iter(got))
    os.kill(first, signal.SIGKILL)
    assert queue.get(timeout=20)[1] == got[first]
    end(processes)


def test_processes_that_share_gpus_are_spread_over_them(machine: Path):
    processes, queue = holders(4, per_gpu=2)
    got = [queue.get(timeout=20)[1] for _ in range(4)]
    assert sorted(got) == ["0", "0", "1", "1"] and sorted(got[:2]) == ["0", "1"]
    end(processes)


def test_only_the_gpus_that_the_user_names_are_taken(machine: Path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    processes, queue = holders(2)
    assert sorted(queue.get(timeout=20)[1] for _ in range(2)) == ["3", "5"]
    end(processes)


@pytest.mark.parametrize("given", ["7", ""])
def test_a_gpu_that_a_scheduler_has_given_is_left_as_it_is(machine: Path, monkeypatch, given: str):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    gpus.take()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == given and not list(machine.glob("partage-gpus-*"))


def test_without_a_driver_nothing_is_taken(machine: Path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    gpus.take()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
