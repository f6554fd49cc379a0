"""Training: whatever interrupts a run, it ends with the curve of one that nothing interrupted, or
says why not.
"""

import errno
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from running import CASES, apart, lay, recipe, started, trained

from partage import _io
from partage.errors import UserError
from partage.rl.replay import Replay
from partage.runs import checkpoint, record, train
from partage.runs.progress import Progress

pytestmark = pytest.mark.xdist_group("train")  # what the tests share is made once

every_learner = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, Path]:
    """Folders of finished runs that nothing interrupted."""
    folders = {name: tmp_path_factory.mktemp(name) for name in CASES}
    for name, folder in folders.items():
        trained(folder, recipe(name))
    return folders


def assert_same_end(folder: Path, other: Path) -> None:
    """The same curve to the last bit, and the same trained networks."""
    assert (folder / "curve.parquet").read_bytes() == (other / "curve.parquet").read_bytes()
    left, right = (
        torch.load(f / "policy.pt", weights_only=True)["learner"] for f in (folder, other)
    )
    left, right = left.get("a2c", left), right.get("a2c", right)
    name = "net" if "net" in left else "nets"
    assert left[name].keys() == right[name].keys()
    assert all(torch.equal(x, right[name][key]) for key, x in left[name].items())


def stop_at(monkeypatch: pytest.MonkeyPatch, update: int, number: int) -> None:
    """This process gets a signal right after that update."""

    def show(self: Progress, meter) -> None:
        if meter.updates == update:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Progress, "show", show)


@every_learner
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(
    name: str, tmp_path: Path, undisturbed
) -> None:
    path, chance, kills = lay(tmp_path, recipe(name)), random.Random(name), 0
    while not (tmp_path / "record.json").exists():
        process = started(lambda: train.run(path, checkpoint_every=0.0))
        while not any(tmp_path.glob("checkpoint/[ab]")) and process.is_alive():
            time.sleep(0.005)
        process.join(chance.uniform(0.05, 0.25) if kills < 5 else 60)
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
        else:
            assert process.exitcode == 0
    assert kills >= 2 and record.read(tmp_path)[1]["resumed"] >= 1
    assert_same_end(tmp_path, undisturbed[name])
    assert not (tmp_path / "checkpoint").exists()


MOMENTS = ["before the bytes are safe", "before the rename", "after the rename"]
# What is written hangs on whether there is a replay, not on the learner: of others one moment.
SAVING = [(name, moment) for name in ("a2c", "qmix") for moment in MOMENTS]
SAVING += [(name, MOMENTS[1]) for name in CASES if name not in ("a2c", "qmix")]


@pytest.mark.parametrize(("name", "moment"), SAVING)
def test_a_run_killed_while_it_saves_ends_as_if_nothing_had_happened(
    name: str, moment: str, tmp_path: Path, undisturbed, monkeypatch
) -> None:
    path, saves, kept = lay(tmp_path, recipe(name)), 0, {"fsync": os.fsync, "replace": os.replace}

    def die(function: str):
        def call(*arguments: object) -> None:
            nonlocal saves
            saves += function == "replace"
            if moment == "after the rename":
                kept[function](*arguments)
            if saves >= 4 and (function == "fsync") == (moment == "before the bytes are safe"):
                os.kill(os.getpid(), signal.SIGKILL)
            if moment != "after the rename":
                kept[function](*arguments)

        return call

    with monkeypatch.context() as patched:
        for function in kept:
            patched.setattr(_io.os, function, die(function))
        assert apart(lambda: train.run(path, checkpoint_every=0.0)) == -signal.SIGKILL
    assert (tmp_path / "checkpoint").exists() and not (tmp_path / "record.json").exists()
    train.run(path)
    assert record.read(tmp_path)[1]["resumed"] == 1
    assert_same_end(tmp_path, undisturbed[name])


# How a signal is met is the same for all learners: one of them meets the further two.
STOPPED = [(name, signal.SIGTERM, 143) for name in CASES]
STOPPED += [("a2c", signal.SIGINT, 130), ("a2c", signal.SIGHUP, 129)]


@pytest.mark.parametrize(("name", "number", "code"), STOPPED)
def test_a_run_asked_to_stop_saves_itself_and_says_so(
    name: str, number: int, code: int, tmp_path: Path, undisturbed, monkeypatch, capsys
) -> None:
    path = lay(tmp_path, recipe(name))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` has the tests ignore it
    with monkeypatch.context() as patched:
        stop_at(patched, 7, number)
        with pytest.raises(SystemExit) as stopped:
            train.run(path)  # the next checkpoint would be minutes away
    assert stopped.value.code == code and "goes on from its checkpoint" in capsys.readouterr().out
    assert checkpoint.load(tmp_path) is not None
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    train.run(path)
    assert_same_end(tmp_path, undisturbed[name])


def checkpointed(folder: Path, name: str, monkeypatch, updates: int = 9, **more) -> Path:
    """A run that was stopped after some updates, with two checkpoints."""
    path = lay(folder, recipe(name, **more))
    with monkeypatch.context() as patched:
        stop_at(patched, updates, signal.SIGTERM)
        with pytest.raises(SystemExit):
            train.run(path, checkpoint_every=0.0)
    assert len(newest_first(folder)) == 2
    return path


def newest_first(folder: Path) -> list[Path]:
    def save(path: Path) -> int:
        return int.from_bytes(path.read_bytes()[8:16], "little")

    return sorted((folder / "checkpoint").glob("[ab]"), key=save, reverse=True)


@every_learner
def test_a_truncated_checkpoint_is_named_and_the_one_before_it_used(
    name: str, tmp_path: Path, undisturbed, monkeypatch, capsys
) -> None:
    path = checkpointed(tmp_path, name, monkeypatch)
    newest = newest_first(tmp_path)[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    train.run(path)
    assert f"{newest} is corrupt" in capsys.readouterr().err
    assert_same_end(tmp_path, undisturbed[name])


def test_with_no_whole_checkpoint_the_run_is_refused_and_nothing_deleted(
    tmp_path: Path, monkeypatch
) -> None:
    path = checkpointed(tmp_path, "a2c", monkeypatch)
    for file in newest_first(tmp_path):
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="No whole checkpoint is left") as refusal:
        train.run(path)
    assert "\n" not in str(refusal.value) and len(newest_first(tmp_path)) == 2


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_is_refused_and_the_run_goes_on_from_the_checkpoint_before(
    function: str, tmp_path: Path, undisturbed, monkeypatch
) -> None:
    path, calls, kept = lay(tmp_path, recipe("qmix")), 0, getattr(os, function)

    def full(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        kept(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(_io.os, function, full)
        with pytest.raises(UserError, match="No space left on device"):
            train.run(path, checkpoint_every=0.0)
    assert checkpoint.load(tmp_path) is not None
    train.run(path)
    assert_same_end(tmp_path, undisturbed["qmix"])


def test_a_checkpoint_of_another_recipe_is_set_aside(
    tmp_path: Path, undisturbed, monkeypatch, capsys
) -> None:
    checkpointed(tmp_path, "a2c", monkeypatch, seeds=[5, 6])
    train.run(lay(tmp_path, recipe("a2c")))
    assert "another recipe's; starting anew" in capsys.readouterr().out
    assert_same_end(tmp_path, undisturbed["a2c"])
    assert record.read(tmp_path)[1]["resumed"] == 0


def test_a_checkpoint_that_todays_code_cannot_read_is_refused_and_kept(
    tmp_path: Path, monkeypatch
) -> None:
    path = checkpointed(tmp_path, "a2c", monkeypatch)
    state = torch.load(io.BytesIO(checkpoint.load(tmp_path) or b""), weights_only=True)
    state["learner"]["net"]["then"] = state["learner"]["net"].popitem()[1]
    buffer = io.BytesIO()
    torch.save(state, buffer)
    checkpoint.save(tmp_path, buffer.getvalue())
    with pytest.raises(UserError, match=r"does not fit today's code \(RuntimeError") as refusal:
        train.run(path)
    assert "\n" not in str(refusal.value) and checkpoint.load(tmp_path) == buffer.getvalue()


def test_a_finished_run_is_left_alone(undisturbed, monkeypatch, capsys) -> None:
    folder = undisturbed["a2c"]
    before = {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.name != "lock"
    }
    (folder / "recipe.json").touch()
    checkpoint.save(folder, b"of a process that was killed just before it would have cleared it")
    monkeypatch.setattr(train, "Training", None)
    train.run(folder / "recipe.json")
    assert "trained already" in capsys.readouterr().out
    assert {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.name != "lock"
    } == before
    assert not (folder / "checkpoint").exists()


def test_the_command_line_stops_on_sigterm_and_refuses_a_second_process(tmp_path: Path) -> None:
    path = lay(tmp_path, recipe("a2c", steps=10_000_000, test_every=0))
    command = [sys.executable, "-m", "partage", "train", str(path)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + 60
        while not listens(first.pid) and time.monotonic() < deadline and first.poll() is None:
            time.sleep(0.05)
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert second.returncode == 2
        assert second.stderr.startswith(
            f"partage: {tmp_path} is being trained by process {first.pid} on "
        )
        assert second.stderr.count("\n") == 1 and not second.stdout
        first.send_signal(signal.SIGTERM)
        said = first.communicate(timeout=60)[0]
    finally:
        first.kill()
        first.wait()
    assert first.returncode == 143 and "goes on from its checkpoint" in said
    assert checkpoint.load(tmp_path) is not None


def listens(pid: int) -> bool:
    """Whether the process has a handler of its own for SIGTERM."""
    line = next(
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("SigCgt")
    )
    return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def lay_older(folder: Path, state: dict[str, Any]) -> bytes:
    """Write a checkpoint as older code did, newer than those that are there; its payload."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    digest = hashlib.sha256(payload).digest()
    header = checkpoint.HEADER.pack(checkpoint.OLDER, 10**6, len(payload), digest)
    _io.write(folder / "checkpoint/a", header, payload)
    return payload


def test_a_checkpoint_of_code_that_kept_episodes_otherwise_is_refused_and_kept(
    tmp_path: Path, monkeypatch
) -> None:
    path = checkpointed(tmp_path, "qmix", monkeypatch)
    state = torch.load(io.BytesIO(checkpoint.load(tmp_path) or b""), weights_only=True)
    del state["replay"]
    state["learner"]["replay"] = {"runs": [{}, {}], "lengths": [[], []]}
    payload = lay_older(tmp_path, state)
    with pytest.raises(UserError, match="older code kept its episodes in another way") as refusal:
        train.run(path)
    assert "\n" not in str(refusal.value) and checkpoint.load(tmp_path) == payload


def test_a_checkpoint_of_older_code_that_kept_no_episodes_is_gone_on_from(
    tmp_path: Path, undisturbed, monkeypatch
) -> None:
    path = checkpointed(tmp_path, "a2c", monkeypatch)
    state = torch.load(io.BytesIO(checkpoint.load(tmp_path) or b""), weights_only=True)
    del state["replay"]
    lay_older(tmp_path, state)
    train.run(path)
    assert_same_end(tmp_path, undisturbed["a2c"])
    assert record.read(tmp_path)[1]["resumed"] == 1


def test_a_run_whose_episodes_were_deleted_while_it_trained_writes_them_again(
    tmp_path: Path, undisturbed, monkeypatch
) -> None:
    path, kept = lay(tmp_path, recipe("qmix")), train.Training.save

    def delete_first(self: train.Training, folder: Path) -> None:
        for chunk in folder.glob("checkpoint/episodes/*"):
            chunk.unlink()
        kept(self, folder)

    with monkeypatch.context() as patched:
        patched.setattr(train.Training, "save", delete_first)
        stop_at(patched, 9, signal.SIGTERM)
        with pytest.raises(SystemExit):
            train.run(path, checkpoint_every=0.0)
    train.run(path)
    assert_same_end(tmp_path, undisturbed["qmix"])


def test_saving_and_going_on_never_copies_all_episodes(
    tmp_path: Path, undisturbed, monkeypatch
) -> None:
    def copy(self: Replay) -> None:
        raise AssertionError("all episodes were copied")

    with monkeypatch.context() as patched:
        patched.setattr(Replay, "state_dict", copy)
        path = checkpointed(tmp_path, "qmix", monkeypatch)
        train.run(path)
    assert_same_end(tmp_path, undisturbed["qmix"])
    assert record.read(tmp_path)[1]["resumed"] == 1


def test_a_checkpoint_that_takes_long_is_not_soon_followed_by_another(
    tmp_path: Path, monkeypatch
) -> None:
    saves, kept = [], train.Training.save

    def count(self: train.Training, folder: Path) -> None:
        saves.append(folder)
        kept(self, folder)

    monkeypatch.setattr(train.Training, "save", count)
    monkeypatch.setattr(checkpoint, "SHARE", 1e-9)
    train.run(lay(tmp_path, recipe("a2c")), checkpoint_every=1e-9)
    assert len(saves) == 1
