"""What stands beside a verdict: panels, p-values, power, and who makes the claim."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small import FILES, ROOT, checkout, small_plan
from test_claims import changes, ends, frame

from partage.analysis import claims, tables
from partage.config import plan
from partage.config.claims import OURS
from partage.config.figures import OF_TRIALS
from partage.config.plan import Plan, Request
from partage.config.recipe import run_dir
from partage.errors import UserError
from partage.report import build

LOW, HIGH = [1.0, 2, 3, 4, 5], [6.0, 7, 8, 9, 10]


def on_two_tasks(sheets: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what is judged where Beta wins all of one task, 12 of 25 on the other; the rows."""
    figure = sheets.figures["first"]._replace(tasks=["toy/a", "toy/b"])
    one, other = ends(LOW, HIGH), ends([2.0, 4, 6, 8, 10], [1.0, 3, 5, 9, 11])
    rows = pd.concat([one, other.assign(task="toy/b")], ignore_index=True)
    rows.attrs = one.attrs
    return claims.build(sheets, figure, rows), rows


def test_a_pooled_claim_shows_the_same_number_on_each_of_its_panels(tmp_path: Path):
    judged, _ = on_two_tasks(small_plan(tmp_path))
    assert judged["on"].tolist() == ["on average over two scenarios", "toy/a", "toy/b"]
    # of 1, 3, 5, 9 and 11 so many of 2, 4, 6, 8, 10 lie below: 0, 1, 2, 4, 5
    assert judged["value"].tolist() == pytest.approx([(1 + 12 / 25) / 2, 1.0, 12 / 25])
    assert judged["verdict"].tolist()[1:] == ["", ""] and judged["p"].notna().tolist()[1:] == [
        False,
        False,
    ]
    kinds = [row[0].kind for row in claims.render(judged).cells()]
    assert kinds == ["words", "panel", "panel"]  # the page sets these below the former
    said = "\n".join(claims.markdown(judged))
    assert "on average over two scenarios" in said.split("\n")[1]
    assert "| P(Beta > Alpha) | toy/b | 0.480 |" in said


def test_a_claim_on_one_task_speaks_of_no_average(tmp_path: Path):
    sheets = small_plan(tmp_path)
    judged = claims.build(sheets, sheets.figures["first"], ends(LOW, HIGH))
    assert len(judged) == 1 and "average" not in "\n".join(claims.markdown(judged))
    assert judged["p"].iat[0] == pytest.approx(2 / 252)


def test_what_was_not_run_is_not_called_undecided(tmp_path: Path):
    sheets = small_plan(tmp_path)
    figure = sheets.figures["first"]
    assert build.judge(sheets, figure, None)["claim_verdict"].tolist() == ["not run"]
    run = claims.build(sheets, figure, ends(LOW, LOW))
    assert run["claim_verdict"].tolist() == ["undecided"]


def test_the_power_of_a_claim_stands_beside_it(tmp_path: Path):
    sheets = small_plan(tmp_path)
    judged = claims.build(sheets, sheets.figures["first"], ends(LOW, HIGH))
    assert 0.19 < judged["power"].iat[0] < 0.25
    assert re.search(r"power 2\d %", claims.remarks(judged))
    three = claims.build(sheets, sheets.figures["first"], ends(LOW[:3], HIGH[:3]))
    assert three["power"].iat[0] == 0 and three["verdict"].iat[0] == "undecided"
    smoke = claims.build(sheets, sheets.figures["first"], ends(LOW, HIGH, "smoke"))
    assert math.isnan(smoke["power"].iat[0]) and "power" not in claims.remarks(smoke)


def test_what_is_infinite_is_called_so_and_not_by_the_number_it_is_tested_as(tmp_path: Path):
    x = np.arange(10, 101, 10)
    judged = changes(tmp_path, [np.where(x > 80, np.inf, 1.0)] * 5)
    assert judged[["value", "ci95_low", "ci95_high"]].iloc[0].tolist() == [math.inf] * 3
    said = "\n".join(claims.markdown(judged))
    assert "| infinite | [infinite, infinite] |" in said and judged["verdict"].iat[0] == "holds"


def test_one_seed_of_five_that_diverges_does_not_draw_the_number(tmp_path: Path):
    x = np.arange(10, 101, 10)
    judged = changes(tmp_path, [x * 1.0] * 4 + [np.where(x > 80, 1e17, 1.0)])
    # from 50 in the middle to 95 at the end
    assert judged["value"].iat[0] == pytest.approx(0.9) and judged["ci95_high"].iat[0] > 1e16


def test_a_metric_may_follow_the_median_where_the_others_follow_the_mean(tmp_path: Path):
    sheets = small_plan(tmp_path)
    figure = sheets.figures["first"]._replace(
        algorithms=["alpha"], beside={"norm": "norm"}, lines={"norm": "median"}, claims=[]
    )
    values = {("alpha", "norm", s): np.full(10, y) for s, y in enumerate([1.0, 2, 3, 4, 1e17])}
    values |= {
        ("alpha", "train_return", s): np.full(10, y) for s, y in enumerate([1.0, 2, 3, 4, 9])
    }
    final = tables.build(sheets, figure, frame(values))
    assert final["value"].tolist() == pytest.approx([3.8, 3.0])
    said = tables.markdown(figure, final, pd.DataFrame(columns=claims.COLUMNS))
    assert "mean (norm: median) over seeds" in said


def test_lines_of_a_metric_that_is_not_drawn_are_refused(tmp_path: Path):
    checkout(tmp_path)
    path = tmp_path / "src/partage/config/sheets/figures.toml"
    old = FILES["src/partage/config/sheets/figures.toml"]
    for added, words in (
        ('lines = { norm = "median" }', "Unknown metric 'norm'"),
        ('lines = { train_return = "middle" }', "Unknown line 'middle'"),
    ):
        path.write_text(old.replace('x = "updates"', f'x = "updates"\n{added}'))
        with pytest.raises(UserError, match=words):
            plan.load(tmp_path)


def test_a_claim_without_a_source_is_called_ours_and_one_with_says_it(tmp_path: Path):
    sheets = small_plan(tmp_path)
    figure = sheets.figures["first"]
    assert claims.remarks(claims.build(sheets, figure, ends(LOW, HIGH))).startswith("ours;")
    said = [figure.claims[0]._replace(source="Paper, 2.1")]
    judged = claims.build(sheets, figure._replace(claims=said), ends(LOW, HIGH))
    assert claims.remarks(judged).startswith("Paper, 2.1;")


def test_a_claim_that_no_paper_makes_is_ours_and_every_other_names_its_passage():
    ours = {}
    for figure in plan.load(ROOT).figures.values():
        for claim in figure.claims:
            assert claim.source == OURS or re.match(r"(MPD|BDPS), \S", claim.source), claim.says
            ours.setdefault(figure.name, []).append(claim.source == OURS)
    assert ours["mpd-15a_3c"] == [False, True, True] and all(ours["mpd-init"])
    bdps = {name: any(mine) for name, mine in ours.items() if name.startswith("bdps")}
    assert [name for name, mine in bdps.items() if mine] == ["bdps-roles"]


def test_lab_scale_has_as_many_seeds_as_decide_and_three_can_be_asked_for():
    """The published runs at lab scale have three: they are drawn with ``--seed-count 3``."""
    sheets, root = plan.load(ROOT), ROOT / "results/published/lab"
    for name, task in sheets.tasks.items():
        assert plan.run_values(task, "lab")[0]["seeds"] == 5, name
    every = [sheets.figures[path.parent.name] for path in root.glob("*/*.parquet")]
    published = [figure for figure in every if figure.kind not in OF_TRIALS]
    recipes = sheets.recipes(published, Request(scale="lab", seed_count=3))
    assert len(published) == 3 and len(recipes) == 4
    for recipe in recipes:
        record = json.loads((run_dir(root, recipe) / "record.json").read_text())
        assert record["recipe_hash"] == recipe.hash
    with pytest.raises(UserError, match="seed_count is at least 0"):
        Request.of({"seed_count": -1})
