"""The best policies of a run, and what they are worth on episodes of their own (the absolute
metric).
"""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from running import apart, lay, recipe, trained

from partage.__main__ import main
from partage.errors import UserError
from partage.runs import evaluate, record, train
from partage.runs.progress import Progress

pytestmark = pytest.mark.xdist_group("absolute")  # what the tests share is made once


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("qmix")
    trained(folder, recipe("qmix"))
    return folder


def kept(folder: Path) -> dict:
    return torch.load(folder / "best.pt", weights_only=True)


def equal(left: object, right: object) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(x, right[key]) for key, x in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right  # type: ignore[arg-type]


def scores_of(folder: Path, seed: int) -> pd.DataFrame:
    curve = record.read(folder)[0]
    rows = curve[(curve["seed"] == seed) & curve["metric"].isin(["test_score", "test_return"])]
    return rows.pivot(index="env_steps", columns="metric", values="value")


def test_what_is_kept_is_the_first_of_the_best_tests(finished: Path):
    found = kept(finished)
    for r, seed in enumerate(recipe("qmix").seeds):
        scores = scores_of(finished, seed)
        order = list(zip(scores["test_score"], scores["test_return"], strict=True))
        assert found["marks"][r] == max(order)
        assert found["steps"][r] == scores.index[order.index(max(order))]


def test_a_killed_and_resumed_run_keeps_the_same_policies(
    finished: Path, tmp_path: Path, monkeypatch
):
    def work() -> None:
        def show(self: Progress, meter) -> None:
            if meter.updates == 5:
                raise KeyboardInterrupt

        monkeypatch.setattr(Progress, "show", show)
        train.run(path, checkpoint_every=0.0)

    path = lay(tmp_path, recipe("qmix"))
    assert apart(work) != 0 and (tmp_path / "checkpoint").exists()
    train.run(path)
    assert record.read(tmp_path)[1]["resumed"] == 1
    assert equal(kept(tmp_path), kept(finished))


def test_a_checkpoint_of_older_code_is_gone_on_from_and_says_that_no_best_is_kept(
    finished: Path, tmp_path: Path
):
    training = train.Training(recipe("qmix"))
    training.advance()
    training.cells[0].best.load_state_dict(None)
    while training.active.any():
        training.advance()
    lay(tmp_path, recipe("qmix"))
    training.finish(tmp_path)
    assert (tmp_path / "curve.parquet").read_bytes() == (finished / "curve.parquet").read_bytes()
    with pytest.raises(UserError, match="older code"):
        evaluate.absolute(tmp_path, 4)


def test_the_absolute_metric_is_measured_on_its_own_episodes_and_again_the_same(finished: Path):
    made = []
    for _ in range(2):
        assert main(["absolute", str(finished), "--episodes", "11"]) == 0
        made.append((finished / "absolute.json").read_text())
    assert made[0] == made[1]
    found = json.loads(made[0])
    assert found["recipe_hash"] == recipe("qmix").hash and found["episodes"] == 11
    assert set(found["seeds"]) == {"0", "1"}
    for seed in found["seeds"].values():
        assert all(len(seed[name]) == 11 for name in ("test_return", "test_score", "test_length"))


def test_each_seed_s_absolute_metric_is_of_its_own_best_policies(finished: Path):
    # a pack of two, and its second seed alone: the same policies and the same episodes
    alone = finished.parent / "alone"
    trained(alone, recipe("qmix", seeds=[1]))
    assert evaluate.absolute(alone, 6)["seeds"]["1"] == evaluate.absolute(finished, 6)["seeds"]["1"]


def test_a_run_without_tests_has_no_absolute_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    trained(tmp_path, recipe("a2c", test_every=0, steps=200))
    assert not (tmp_path / "best.pt").exists()
    assert main(["absolute", str(tmp_path)]) == 2
    assert "never tested" in capsys.readouterr().err
    assert main(["absolute", str(tmp_path), "--episodes", "0"]) == 2
    capsys.readouterr()
    assert main(["absolute", str(tmp_path), "--episodes", "999999999999"]) == 2
    assert "--episodes is at most 10,000" in capsys.readouterr().err


def test_a_run_of_older_code_has_no_best_policies_and_says_so(tmp_path: Path):
    trained(tmp_path, recipe("a2c", steps=200))
    (tmp_path / "best.pt").unlink()
    with pytest.raises(UserError, match=r"best\.pt is not there"):
        evaluate.absolute(tmp_path, 2)
