"""Live logs: they grow with a run, survive whatever ends it, and move nothing in it."""

import errno
import importlib.util
import os
from pathlib import Path

import pandas as pd
import pytest
from running import apart, lay, recipe, trained

from partage.cli.parser import main
from partage.config.request import Request
from partage.errors import UserError
from partage.runs import live_logs, record, train
from partage.runs.live_logs import Logs
from partage.runs.progress import Progress

pytestmark = pytest.mark.xdist_group("train")

POINTS = [(0, 100, 1, "train_return", 0.5), (1, 100, 1, "train_return", -0.125)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    trained(folder, recipe("a2c"))
    assert not (folder / "live.csv").exists()
    return folder


def test_a_log_holds_the_curve_and_moves_no_bit_of_it(tmp_path: Path, undisturbed: Path) -> None:
    assert main(["train", str(lay(tmp_path, recipe("a2c"))), "--live", "csv"]) == 0
    plain = (undisturbed / "curve.parquet").read_bytes()
    assert (tmp_path / "curve.parquet").read_bytes() == plain
    logged = pd.read_csv(tmp_path / "live.csv", float_precision="round_trip")
    assert logged.astype(record.COLUMNS).equals(record.read(tmp_path)[0])


def test_a_killed_run_that_goes_on_logs_each_point_once(
    tmp_path: Path, undisturbed: Path, monkeypatch
) -> None:
    path, show = lay(tmp_path, recipe("a2c")), Progress.show

    def killed_late(self: Progress, metrics) -> None:
        show(self, metrics)
        if metrics.updates == 9:  # its last checkpoint is of the update before
            with open(tmp_path / "live.csv", "a") as file:
                file.write("0,1600,9,half of a li")
            os.kill(os.getpid(), 9)

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "show", killed_late)
        assert apart(lambda: train.run(path, checkpoint_every=0.0, live="csv")) == -9
    assert any(tmp_path.glob("checkpoint/[ab]"))
    train.run(path, live="csv")
    assert record.read(tmp_path)[1]["resumed"] == 1
    assert record.read(tmp_path)[0].equals(record.read(undisturbed)[0])
    logged = pd.read_csv(tmp_path / "live.csv", float_precision="round_trip")
    assert logged.astype(record.COLUMNS).equals(record.read(undisturbed)[0])


def test_a_log_grows_by_the_points_that_are_new(tmp_path: Path) -> None:
    logs = Logs(tmp_path, "csv")
    logs.grow(POINTS[:1])
    first = (tmp_path / "live.csv").read_text()
    assert first == "seed,env_steps,updates,metric,value\n0,100,1,train_return,0.5\n"
    logs.grow(POINTS)
    logs.grow(POINTS)
    assert (tmp_path / "live.csv").read_text() == f"{first}1,100,1,train_return,-0.125\n"


def test_a_log_on_a_full_disk_ends_and_the_run_goes_on(tmp_path: Path, monkeypatch, capsys) -> None:
    logs = Logs(tmp_path, "csv")

    def full(self, points) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(live_logs.CsvLog, "add", full)
    logs.grow(POINTS[:1])
    logs.grow(POINTS)
    logs.close()
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_log_that_there_is_not_or_whose_package_is_missing_is_one_sentence(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    path = lay(tmp_path, recipe("a2c"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for asked, says in (("tensorboard", "pip install tensorboard"), ("cvs", "did you mean 'csv'")):
        assert main(["train", str(path), "--live", asked]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and says in said
    with pytest.raises(UserError, match="Unknown live log 'cvs'"):
        Request.of({"live": "cvs"})
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.json"]


def test_tensorboard_has_each_point_once_after_a_second_start(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is optional, and not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        logs = Logs(tmp_path, "tensorboard")
        logs.grow(POINTS)
        logs.close()
    for seed, steps, _, metric, value in POINTS:
        found = EventAccumulator(str(tmp_path / f"tensorboard/seed-{seed}"))
        found.Reload()
        assert [(one.step, one.value) for one in found.Scalars(metric)] == [(steps, value)]
