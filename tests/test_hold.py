"""One process to a run: a second is refused or waits; and an outcome that Snakemake deleted is not
computed again.
"""

import dataclasses
import errno
import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import running
from small import curve, outcome, small_plan

from partage import _io
from partage.config.plan import Request
from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.runs import holding, record, train
from partage.runs.provenance import image


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return small_plan(tmp_path / "checkout").recipes_of("alpha", "toy/a", Request())[0]


def keep(run_dir: Path, ready) -> None:
    with record.hold(run_dir):
        ready.set()
        time.sleep(60)


def test_a_second_process_is_refused_until_the_first_ends_even_by_sigkill(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    first = context.Process(target=keep, args=(tmp_path, ready))
    first.start()
    assert ready.wait(10)
    with (
        pytest.raises(UserError, match=f"is being trained by process {first.pid} on ") as refusal,
        record.hold(tmp_path),
    ):
        pass
    assert "\n" not in str(refusal.value)
    first.kill()
    first.join()
    with record.hold(tmp_path):
        pass
    with record.hold(tmp_path):  # and again, in the same process
        pass


def test_a_process_that_waits_goes_on_when_the_first_has_ended(tmp_path: Path, capfd):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    first = context.Process(target=keep, args=(tmp_path, ready))
    first.start()
    assert ready.wait(10)
    threading.Timer(0.5, first.kill).start()
    with record.hold(tmp_path, wait=True):
        first.join(10)
        assert first.exitcode == -signal.SIGKILL
    assert f"is being trained by process {first.pid} on " in capfd.readouterr().out


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch):
    def no_locks(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(holding.fcntl, "flock", no_locks)
    with pytest.raises(UserError, match=r"No locks available.*flock"), record.hold(tmp_path):
        pass


def test_an_outcome_that_was_deleted_comes_back_for_the_same_recipe_and_code_only(
    tmp_path: Path, recipe: Recipe
):
    made = {**outcome(recipe), "recipe_hash": recipe.hash, "code": {"hash": "abc", "files": {}}}
    record.write(tmp_path, curve(recipe), made)
    before = record.read(tmp_path)
    for name in record.OUTCOME:
        (tmp_path / name).unlink()
    assert not record.restore(tmp_path, recipe, "another code's")
    assert not record.restore(tmp_path, dataclasses.replace(recipe, steps=1), "abc")
    assert not (tmp_path / "record.json").exists()
    assert record.restore(tmp_path, recipe, "abc")
    after = record.read(tmp_path)
    assert after[0].equals(before[0]) and after[1] == before[1]
    (tmp_path / "kept/curve.parquet").write_bytes(b"half")
    assert not record.restore(tmp_path, recipe, "abc")


def test_the_image_is_named_with_its_digest(tmp_path: Path, monkeypatch):
    for name in ("PARTAGE_IMAGE", "APPTAINER_CONTAINER"):
        monkeypatch.delenv(name, raising=False)
    assert image() is None
    path = tmp_path / "lbf.sif"
    path.write_bytes(b"an image")
    digest = hashlib.sha256(b"an image").hexdigest()
    monkeypatch.setenv("APPTAINER_CONTAINER", str(path))
    assert image() == {"name": "lbf.sif", "digest": f"sha256:{digest}"}
    (tmp_path / "lbf.sif.sha256").write_text("0123  lbf.sif\n")
    assert image() == {"name": "lbf.sif", "digest": "sha256:0123"}
    os.utime(tmp_path / "lbf.sif.sha256", (1, 1))  # of an older image
    assert image() == {"name": "lbf.sif", "digest": f"sha256:{digest}"}
    monkeypatch.setenv("PARTAGE_IMAGE", "partage-lbf@sha256:4567")
    assert image() == {"name": "partage-lbf", "digest": "sha256:4567"}


def test_what_a_process_left_that_was_killed_while_writing_goes_with_the_next_write(tmp_path: Path):
    (tmp_path / ".curve.parquet.123.tmp").write_bytes(b"half")
    (tmp_path / ".other.123.tmp").write_bytes(b"half")
    _io.write(tmp_path / "curve.parquet", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.123.tmp", "curve.parquet"]


def test_a_finished_run_whose_outcome_is_deleted_is_not_trained_again(tmp_path: Path, monkeypatch):
    curve = running.trained(tmp_path, running.recipe("a2c", steps=200))
    for name in record.OUTCOME:
        (tmp_path / name).unlink()
    monkeypatch.setattr(train, "Training", None)
    train.run(tmp_path / "recipe.json")
    assert record.read(tmp_path)[0].equals(curve)


def write_often(path: Path, mark: int) -> None:
    for _ in range(100):
        _io.write(path, bytes([mark]) * 5000)


def test_writers_of_one_file_do_not_delete_each_other_s_temporary_files(tmp_path: Path):
    path = tmp_path / "result.json"
    writers = [running.started(lambda mark=mark: write_often(path, mark)) for mark in range(6)]
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 6
    written = path.read_bytes()
    assert len(written) == 5000 and len(set(written)) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


def test_a_temporary_file_goes_when_its_writer_is_dead_and_not_before(tmp_path: Path):
    left = tmp_path / ".result.json.1-a.tmp"

    def write_half(ready) -> None:
        handle = _io._create(left)
        ready.set()
        time.sleep(60)
        os.close(handle)

    context = multiprocessing.get_context("fork")
    ready = context.Event()
    writer = context.Process(target=write_half, args=(ready,))
    writer.start()
    assert ready.wait(10)
    _io.write(tmp_path / "result.json", b"whole")
    assert left.exists()
    writer.kill()
    writer.join()
    _io.write(tmp_path / "result.json", b"whole")
    assert not left.exists()


@pytest.mark.parametrize("again", [True, False])
def test_a_trainer_whose_folder_was_deleted_saves_nothing_into_what_is_there_now(
    tmp_path: Path, again: bool
):
    run = tmp_path / "run"
    with record.hold(run) as first:
        first.check()
        shutil.rmtree(run)
        if again:
            with record.hold(run) as second:
                second.check()
                with pytest.raises(UserError, match="was deleted or replaced") as refusal:
                    first.check()
        else:
            with pytest.raises(UserError, match="was deleted or replaced") as refusal:
                first.check()
    assert "saves nothing" in str(refusal.value) and "\n" not in str(refusal.value)


def test_of_two_trainers_the_one_whose_folder_was_removed_ends_and_the_other_s_run_is_whole(
    tmp_path: Path,
):
    run = tmp_path / "run"
    path = running.lay(run, running.recipe("a2c", steps=100_000_000, test_every=0))
    command = [sys.executable, "-m", "partage", "train", str(path), "--checkpoint-every", "0"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first:
        try:
            wait_for(lambda: any(run.glob("checkpoint/[ab]")))
            # as our own message advises: the first may save between two deletions
            wait_for(lambda: not shutil.rmtree(run, ignore_errors=True) and not run.exists())
            curve = running.trained(run, running.recipe("a2c", steps=400))
            said = first.communicate(timeout=60)[1]
        finally:
            first.kill()
    assert first.returncode == 2 and said.count("\n") == 1 and "saves nothing" in said
    assert record.read(run)[0].equals(curve) and not (run / "checkpoint").exists()


def wait_for(happened: Callable[[], bool]) -> None:
    """Look until it has happened; give up after a minute."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_lock_that_was_removed_while_it_was_waited_for_is_not_the_one_that_counts(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    first = context.Process(target=keep, args=(tmp_path, ready))
    first.start()
    assert ready.wait(10)
    (tmp_path / "lock").unlink()
    with record.hold(tmp_path) as second:  # the first one's counts no more
        second.check()
    first.kill()
    first.join()
