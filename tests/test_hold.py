"""One process to a run: a second is refused or waits; and an outcome that Snakemake deleted is not
computed again.
"""

import dataclasses
import errno
import hashlib
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import running
from small import curve, outcome, small_plan

from partage import _io
from partage.config.plan import Request
from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.runs import record, train
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

    monkeypatch.setattr(record.fcntl, "flock", no_locks)
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
