"""Trained again elsewhere, a run has the same curve; where it has not, that is said and found."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from running import recipe, trained

from partage.__main__ import main
from partage.errors import UserError
from partage.runs import record, verify


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("a2c")
    trained(folder, recipe("a2c"))
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    for name in ("recipe.json", "record.json", "curve.parquet"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    return tmp_path


def returns(curve: pd.DataFrame) -> pd.DataFrame:
    return curve.loc[curve["metric"] == "train_return"]


def rewrite(run: Path, change: float = 0.0, **facts) -> None:
    """Another outcome: the last return changed, or made under other circumstances."""
    curve, made = record.read(run)
    curve.loc[returns(curve).index[-1], "value"] += change
    record.write(run, curve, made | facts)


def test_a_run_made_again_here_has_the_same_bits(run: Path, capsys: pytest.CaptureFixture[str]):
    before = sorted(path.name for path in run.iterdir())
    assert main(["verify", str(run)]) == 0
    out = capsys.readouterr().out
    assert (
        out.startswith("same bits ")
        and out.count("\n") == 1
        and str(run) in out
        and "2 seeds" in out
    )
    assert sorted(path.name for path in run.iterdir()) == before  # it was made elsewhere


def test_one_number_that_differs_in_its_last_bit_is_found_and_the_exit_code_says_so(
    run: Path, capsys
):
    curve = record.read(run)[0]
    last = float(returns(curve)["value"].iat[-1])
    rewrite(run, float(np.nextafter(last, np.inf)) - last)
    assert main(["verify", str(run)]) == 1
    out = capsys.readouterr().out
    assert (
        out.startswith("DIFFERENT ")
        and f"first at seed {returns(curve)['seed'].iat[-1]}, " in out
        and "was, " in out
    )


def test_elsewhere_a_tolerance_holds_and_what_differs_is_said(run: Path, capsys):
    made = record.read(run)[1]
    rewrite(run, 1e-6, versions=made["versions"] | {"torch": "1.0"})
    assert main(["verify", str(run)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("within ") and "made with torch 1.0" in out
    assert main(["verify", str(run), "--tolerance", "1e-12"]) == 1


def test_other_code_counts_as_elsewhere_and_is_named(run: Path):
    made = record.read(run)[1]
    rewrite(
        run,
        1e-6,
        code=made["code"] | {"files": made["code"]["files"] | {"src/partage/gone.py": "0"}},
    )
    found = verify.verify(run)
    assert found.same and "other code (src/partage/gone.py)" in found.says


def test_a_run_that_other_code_began_is_verified_as_made_by_that_code_too(run: Path, capsys):
    rewrite(run, 1e-6, earlier_code=["b" * 64])
    assert main(["verify", str(run)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("within ") and "other code (begun by other code, bbbbbbbbbbbb)" in out
    rewrite(run, 1e6)
    assert main(["verify", str(run)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("DIFFERENT ") and "begun by other code, bbbbbbbbbbbb" in out


def test_a_run_that_cannot_be_read_hides_none_behind_it(run: Path, tmp_path: Path, capsys):
    assert main(["verify", str(tmp_path / "nowhere"), str(run)]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("same bits ") and "nowhere" in said.err
    assert said.err.count("partage: ") == 1


def test_the_first_steps_alone_can_be_verified(run: Path):
    found = verify.verify(run, steps=350)
    assert found.same and found.verdict == "same bits"
    curve = record.read(run)[0]
    assert f"{(curve['env_steps'] < 350).sum():,} numbers" in found.says
    with pytest.raises(UserError, match="--steps has to be more than 100"):
        verify.verify(run, steps=100)


def test_a_run_that_is_not_finished_or_corrupt_is_refused(run: Path, capsys):
    (run / "record.json").unlink()
    assert main(["verify", str(run)]) == 2 and "record.json" in capsys.readouterr().err


def numbers(values: list[float], at: list[int] | None = None) -> pd.DataFrame:
    steps = at or [10 * (i + 1) for i in range(len(values))]
    rows = [(0, step, step, "x", value) for step, value in zip(steps, values, strict=True)]
    return pd.DataFrame(rows, columns=list(record.COLUMNS)).astype(record.COLUMNS)


@pytest.mark.parametrize(
    ("left", "right", "differs", "same"),
    [
        ([0.0, 1.0], [0.0, 1.0], [], True),
        ([0.0, 1.0, np.nan], [0.0, 1.0, np.nan], [], True),
        ([0.0, 1.0], [0.0, 1.005], [], False),
        ([0.0, 1.0], [0.0, 1.005], ["torch 1.0"], True),
        ([0.0, 1.0], [0.0, 1.05], ["torch 1.0"], False),
        ([0.0, 1.0, np.inf], [0.0, 1.0, np.inf], ["torch 1.0"], True),
        ([0.0, 1.0, np.nan], [0.0, 1.0, 2.0], ["torch 1.0"], False),
        (
            [3.0, 3.0],
            [3.0, 3.1],
            ["torch 1.0"],
            False,
        ),  # of a curve without a range nothing may differ
    ],
)
def test_curves_are_compared_number_by_number(
    left: list, right: list, differs: list[str], same: bool
):
    assert verify.compare(numbers(left), numbers(right), differs, 0.01).same is same


def test_other_steps_are_another_curve():
    assert not verify.compare(
        numbers([1.0, 2.0]), numbers([1.0, 2.0], [10, 21]), ["torch 1.0"], 0.01
    ).same
    assert not verify.compare(numbers([1.0, 2.0]), numbers([1.0]), [], 0.01).same


def test_a_record_names_all_that_verify_asks_for(finished: Path):
    made = json.loads((finished / "record.json").read_text())
    assert verify.elsewhere(made, made) == []
    assert verify.elsewhere(made, made | {"device": "cuda"}) == ["device cpu"]
