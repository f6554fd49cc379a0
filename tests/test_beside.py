"""Figures of two metrics: panels beside each other, a table for each, claims on both."""

from pathlib import Path

import pandas as pd
import pytest
from small import checkout, curve, edit, outcome

from partage.analysis import claims, frames, tables
from partage.config import plan
from partage.config.plan import Plan, Request
from partage.errors import UserError
from partage.plots import curves

BOTH = 'metrics = ["train_return", "goals"]'


@pytest.fixture
def sheets(tmp_path: Path) -> Plan:
    """The small checkout, with a second metric beside the first."""
    checkout(tmp_path)
    figures = tmp_path / "src/partage/config/sheets/figures.toml"
    edit(
        figures,
        'metric = "train_return"',
        'metric = "train_return"\nbeside = { goals = "goals an episode" }',
    )
    edit(figures, 'than = ["alpha"]', f'than = ["alpha"]\n{BOTH}')
    return plan.load(tmp_path)


def runs(sheets: Plan, *metrics: str) -> pd.DataFrame:
    """A frame of made-up runs; beta makes one goal more."""
    made = []
    for recipe in sheets.recipes(sheets.select_figures(), Request(scale="paper")):
        rows = pd.concat([curve(recipe, metric) for metric in metrics], ignore_index=True)
        rows.loc[rows["metric"] == "goals", "value"] += recipe.algorithm == "beta"
        made.append((Path("x"), rows, outcome(recipe)))
    return frames.join(sheets.figures["first"], made)


def test_each_metric_has_panels_with_a_label_of_its_own(sheets: Plan) -> None:
    canvas = curves.draw(sheets, sheets.figures["first"], runs(sheets, "train_return", "goals"))
    first, second = canvas.axes
    assert (
        second.get_ylabel() == "goals an episode"
        and first.get_ylabel() == "team return (sum over agents)"
    )
    assert second.get_ylim()[1] > first.get_ylim()[1] + 0.5
    assert {line.get_color() for line in first.lines} == {line.get_color() for line in second.lines}


def test_a_further_metric_that_spans_powers_of_ten_is_drawn_on_their_scale(sheets: Plan) -> None:
    frames = runs(sheets, "train_return", "goals")
    for factor, scale in ((1.0, "linear"), (1e6, "log")):
        grown = frames.assign(value=frames["value"].abs() + 1)
        grown.loc[grown["algorithm"] == "beta", "value"] *= factor
        first, second = curves.draw(sheets, sheets.figures["first"], grown).axes
        assert (first.get_yscale(), second.get_yscale()) == ("linear", scale)


def test_the_first_metric_looks_as_it_does_alone(sheets: Plan) -> None:
    both = runs(sheets, "train_return", "goals")
    figure = sheets.figures["first"]
    alone = figure._replace(beside={}, claims=[])
    one = tables.build(sheets, alone, both)
    two = tables.build(sheets, figure, both)
    assert one.equals(two[two["metric"] == "train_return"].reset_index(drop=True))


def test_the_table_has_a_part_for_each_metric(sheets: Plan) -> None:
    figure, rows = sheets.figures["first"], runs(sheets, "train_return", "goals")
    table = tables.build(sheets, figure, rows)
    assert list(table["metric"]) == ["train_return"] * 2 + ["goals"] * 2
    assert table["published"].notna().tolist() == [
        True,
        False,
        False,
        False,
    ]  # the paper's number is of the first
    text = tables.markdown(figure, table, claims.build(sheets, figure, rows))
    assert text.count("| task | algorithm |") == 2 and "**goals an episode**" in text


def test_a_claim_on_both_metrics_holds_only_if_it_holds_on_both(sheets: Plan) -> None:
    judged = claims.build(sheets, sheets.figures["first"], runs(sheets, "train_return", "goals"))
    assert list(judged["judged_by"]) == ["P(Beta > Alpha), train_return", "P(Beta > Alpha), goals"]
    assert judged["verdict"].iat[1] == "holds" and set(judged["claim_verdict"]) == {"undecided"}


def test_a_run_without_the_second_metric_is_refused(sheets: Plan) -> None:
    with pytest.raises(UserError, match=r"draws 'goals', but .* has only the metrics train_return"):
        runs(sheets, "train_return")


def test_a_claim_on_a_metric_that_is_not_drawn_is_refused(sheets: Plan, tmp_path: Path) -> None:
    edit(tmp_path / "src/partage/config/sheets/figures.toml", BOTH, 'metrics = ["passes"]')
    with pytest.raises(UserError, match="Unknown metric 'passes'"):
        plan.load(tmp_path)
