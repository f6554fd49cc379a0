"""Records and checkpoints: whole or not at all, and told apart when they are not."""

import errno
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small import curve, outcome, small_plan

from partage import _io
from partage.config.plan import Request
from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.runs import checkpoint, record
from partage.runs.code_stamps import code


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return small_plan(tmp_path / "checkout").recipes_of("alpha", "toy/a", Request())[0]


@pytest.fixture
def run(tmp_path: Path, recipe: Recipe) -> Path:
    """A finished run's folder."""
    place = tmp_path / "run"
    place.mkdir()
    (place / "recipe.json").write_text(recipe.text())
    record.write(place, curve(recipe), outcome(recipe))
    return place


def test_what_is_written_is_what_is_read(run: Path, recipe: Recipe):
    found, made = record.read(run)
    pd.testing.assert_frame_equal(found, curve(recipe).astype(record.COLUMNS))
    assert made["recipe"]["task"] == "toy/a" and made["schema"] == record.SCHEMA
    assert sorted(path.name for path in run.iterdir()) == [
        "curve.parquet",
        "kept",
        "recipe.json",
        "record.json",
    ]


def test_equal_curves_are_equal_bytes(run: Path, recipe: Recipe):
    before = (run / "curve.parquet").read_bytes()
    record.write(run, curve(recipe), outcome(recipe))
    assert (run / "curve.parquet").read_bytes() == before


def test_a_curve_with_other_columns_is_a_mistake_of_the_program(run: Path, recipe: Recipe):
    with pytest.raises(ValueError, match="columns"):
        record.write(run, curve(recipe).drop(columns="updates"), outcome(recipe))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "harm", "words"),
    [
        ("curve.parquet", Path.unlink, "No such file"),
        ("curve.parquet", truncate, "corrupt"),
        ("curve.parquet", flip, "corrupt"),
        ("record.json", Path.unlink, "No such file"),
        ("record.json", truncate, "corrupt"),
        ("record.json", lambda path: path.write_text("[]"), "corrupt"),
        ("record.json", lambda path: path.write_text('{"schema": 7}'), "schema 7"),
        (
            "recipe.json",
            lambda path: path.write_text(path.read_text().replace("100", "200")),
            "another recipe",
        ),
        ("recipe.json", truncate, "corrupt"),
    ],
)
def test_a_harmed_run_is_refused_with_the_command_that_mends_it(
    run: Path, name: str, harm, words: str
):
    harm(run / name)
    with pytest.raises(UserError, match=words) as refusal:
        record.read(run)
    assert f"partage train {run}/recipe.json" in str(refusal.value) and "\n" not in str(
        refusal.value
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_or_read_only_disk_is_refused_and_loses_nothing(
    run: Path, recipe, monkeypatch, number, failing
):
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_io.os, failing, fail)
    with pytest.raises(UserError, match=os.strerror(number)) as refusal:
        record.write(run, curve(recipe).assign(value=0.0), outcome(recipe))
    assert "what was written before is kept" in str(refusal.value)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_a_results_folder_that_is_a_file_is_refused(tmp_path: Path, recipe: Recipe):
    (tmp_path / "file").write_text("")
    for attempt in (
        lambda: record.write(tmp_path / "file/run", curve(recipe), outcome(recipe)),
        lambda: checkpoint.save(tmp_path / "file/run", b"x"),
        lambda: record.hold(tmp_path / "file/run").__enter__(),
    ):
        with pytest.raises(UserError, match="Not a directory"):
            attempt()


def test_the_newest_checkpoint_is_the_one_that_comes_back(tmp_path: Path):
    assert checkpoint.load(tmp_path) is None
    for number in range(5):
        checkpoint.save(tmp_path, f"state {number}".encode() * 100)
        assert checkpoint.load(tmp_path) == f"state {number}".encode() * 100
    assert len(list((tmp_path / "checkpoint").iterdir())) == 2


def cut_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])


def test_a_payload_may_be_a_view_of_memory_and_may_be_empty(tmp_path: Path):
    checkpoint.save(tmp_path, memoryview(np.arange(6, dtype=np.float32)))
    assert checkpoint.load(tmp_path) == np.arange(6, dtype=np.float32).tobytes()
    checkpoint.save(tmp_path, b"")
    assert checkpoint.load(tmp_path) == b""


@pytest.mark.parametrize("harm", [truncate, flip, cut_header, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("saves", [2, 3])
def test_a_corrupt_newest_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, capsys, harm, saves: int
):
    for number in range(saves):
        checkpoint.save(tmp_path, bytes([number]) * 1000)
    newest = tmp_path / "checkpoint" / ("b" if saves == 2 else "a")
    harm(newest)
    assert checkpoint.load(tmp_path) == bytes([saves - 2]) * 1000
    said = capsys.readouterr().err
    assert str(newest) in said and "corrupt" in said and said.count("\n") == 1
    checkpoint.save(tmp_path, b"next")
    assert checkpoint.load(tmp_path) == b"next" and not capsys.readouterr().err


def test_with_no_whole_checkpoint_left_the_user_decides(tmp_path: Path):
    for number in range(2):
        checkpoint.save(tmp_path, bytes([number]) * 1000)
    for path in (tmp_path / "checkpoint").iterdir():
        truncate(path)
    with pytest.raises(UserError, match="No whole checkpoint") as refusal:
        checkpoint.load(tmp_path)
    assert (
        "delete that folder" in str(refusal.value)
        and len(list((tmp_path / "checkpoint").iterdir())) == 2
    )


def test_a_failed_save_leaves_the_last_checkpoint_and_no_litter(tmp_path: Path, monkeypatch):
    checkpoint.save(tmp_path, b"whole")
    with monkeypatch.context() as patched:
        patched.setattr(
            _io.os,
            "fsync",
            lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")),
        )
        with pytest.raises(UserError, match="No space left"):
            checkpoint.save(tmp_path, b"half")
    assert checkpoint.load(tmp_path) == b"whole"
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["a"]


def test_what_a_killed_save_left_behind_is_swept_by_the_next(tmp_path: Path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / ".a.123.tmp").write_bytes(b"half")
    checkpoint.save(tmp_path, b"x")
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["a"]
    checkpoint.clear(tmp_path)
    assert not (tmp_path / "checkpoint").exists()
    checkpoint.clear(tmp_path)  # nothing to clear is no mistake


def test_provenance_says_what_made_a_run(recipe: Recipe):
    made = record.provenance(
        recipe,
        started=datetime(2026, 1, 2, tzinfo=UTC),
        wall_seconds=1.5,
        cpu_seconds=1.25,
        resumed=2,
        threads=1,
        device="cpu",
    )
    assert made["recipe"] == json.loads(recipe.text()) and made["recipe_hash"] == recipe.hash
    assert made["started"] == "2026-01-02T00:00:00+00:00" and made["finished"] > made["started"]
    assert (
        made["machine"]["cores"] >= 1
        and made["machine"]["gpu"] is None
        and "torch" in made["versions"]
    )
    assert (made["resumed"], made["threads"], made["device"]) == (2, 1, "cpu")
    json.dumps(made)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package with one learner, one family and what they import."""
    files = {
        "__init__.py": "",
        "errors.py": "",
        "config/__init__.py": "",
        "config/recipe.py": "",
        "runs/__init__.py": "",
        "runs/train.py": "from partage import learners\nfrom partage.runs import metrics, record\n",
        "runs/metrics.py": "from partage.config.recipe import Recipe\n",
        "runs/record.py": "",
        "learners/__init__.py": "from partage.errors import look_up\n",
        "learners/one.py": "def f():\n    import partage.nn.bank\n",
        "learners/two.py": "",
        "nn/__init__.py": "",
        "nn/bank.py": "from partage.kernels.mlp import forward\n",
        "kernels/__init__.py": "from partage import _jit\n",
        "kernels/mlp.py": "",
        "_jit.py": "",
        "plots/curves.py": "",
        "sims/__init__.py": "",
        "sims/units.toml": "",
        "sims/spread.py": "",
        "envs/__init__.py": "",
        "envs/mpe.py": "from partage.sims import spread\n",
        "envs/lbf.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_run_s_code_is_what_moves_numbers_of_what_it_imports(package: Path):
    files = code("one", "mpe", package)["files"]
    assert set(files) == {
        "partage/_jit.py",
        "partage/envs/mpe.py",
        "partage/kernels/__init__.py",
        "partage/kernels/mlp.py",
        "partage/learners/__init__.py",
        "partage/learners/one.py",
        "partage/nn/__init__.py",
        "partage/nn/bank.py",
        "partage/runs/metrics.py",
        "partage/runs/train.py",
        "partage/sims/__init__.py",
        "partage/sims/spread.py",
        "partage/sims/units.toml",
    }
    empty = hashlib.sha256(b"").hexdigest()
    assert files["partage/sims/spread.py"] == empty


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("nn/bank.py", True),
        ("kernels/mlp.py", True),
        ("_jit.py", True),
        ("learners/one.py", True),
        ("sims/units.toml", True),
        ("runs/train.py", True),
        ("learners/two.py", False),
        ("envs/lbf.py", False),
        ("plots/curves.py", False),
        ("config/recipe.py", False),
        ("errors.py", False),
        ("runs/record.py", False),
    ],
)
def test_only_code_a_run_depends_on_makes_it_stale(package: Path, name: str, moves: bool):
    before = code("one", "mpe", package)["hash"]
    file = package / name
    file.write_text("z = 1\n")
    assert (code("one", "mpe", package)["hash"] != before) == moves
