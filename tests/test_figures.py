"""Frames, curves and tables, from made-up runs."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from small import checkout, curve, edit, finish, outcome, small_plan

from partage.__main__ import main
from partage.analysis import claims, frames, tables
from partage.analysis.table import number
from partage.config import plan as planning
from partage.config.figures import OF_TRIALS
from partage.config.plan import Plan, Request, load
from partage.config.recipe import run_dir
from partage.errors import UserError
from partage.plots import curves, files, style
from partage.runs import record


@pytest.fixture
def sheets(tmp_path: Path) -> Plan:
    return small_plan(tmp_path)


def made(sheets: Plan, root: Path, scale: str = "smoke", seeds_per_run: int = 5) -> pd.DataFrame:
    """The first figure's frame, from runs finished below `root`."""
    figure = sheets.figures["first"]
    recipes = sheets.recipes([figure], Request(scale=scale, seeds_per_run=seeds_per_run))
    finish(recipes, root)
    return frames.build(figure, recipes, root)


def texts(canvas) -> list[str]:
    found = [text.get_text() for text in canvas.texts]
    return found + [text.get_text() for legend in canvas.legends for text in legend.get_texts()]


def test_a_frame_has_one_row_per_measured_number(sheets: Plan, tmp_path: Path):
    rows = made(sheets, tmp_path)
    assert list(rows.columns) == list(frames.COLUMNS) and len(rows) == 2 * 2 * 10
    assert set(rows["algorithm"]) == {"alpha", "beta"} and set(rows["seed"]) == {0, 1}


def test_packing_seeds_changes_nothing_that_is_drawn(sheets: Plan, tmp_path: Path):
    pd.testing.assert_frame_equal(
        made(sheets, tmp_path / "x"), made(sheets, tmp_path / "y", seeds_per_run=1)
    )


def test_a_frame_survives_its_file_and_knows_its_scale(sheets: Plan, tmp_path: Path):
    rows = made(sheets, tmp_path)
    frames.save(rows, tmp_path / "first.parquet")
    again = frames.load(tmp_path / "first.parquet")
    pd.testing.assert_frame_equal(again, rows)
    assert again.attrs == rows.attrs == frames.attributes(tmp_path / "first.parquet")
    known = {"figure": "first", "scale": "smoke", "engine": "batched"}
    assert again.attrs.items() >= known.items() and len(again.attrs["recipes"]) == 2


def test_a_corrupt_or_missing_frame_is_refused_with_the_command_that_makes_it(tmp_path: Path):
    path = tmp_path / "first.parquet"
    with pytest.raises(UserError, match="No such file"):
        frames.load(path)
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match=r"corrupt.*partage frame first"):
        frames.load(path)
    pd.DataFrame({"x": [1]}).to_parquet(path)
    with pytest.raises(UserError, match="has columns"):
        frames.load(path)


def test_every_missing_run_is_named(sheets: Plan, tmp_path: Path):
    figure, request = sheets.figures["first"], Request(seeds_per_run=1)
    recipes = sheets.recipes([figure], request)
    finish(recipes, tmp_path)
    lost = [run_dir(tmp_path, recipe) for recipe in recipes[:2]]
    shutil.rmtree(lost[0])
    (lost[1] / "curve.parquet").write_bytes(b"")
    with pytest.raises(UserError) as refusal:
        frames.build(figure, recipes, tmp_path)
    assert all(str(place) in str(refusal.value) for place in lost) and "\n" not in str(
        refusal.value
    )


@pytest.mark.parametrize("change", [{"scale": "lab"}, {"engine": "package"}])
def test_scales_and_engines_never_meet_in_one_figure(sheets: Plan, tmp_path: Path, change: dict):
    figure = sheets.figures["first"]
    one, two = sheets.recipes([figure], Request())
    runs = [(tmp_path / r.algorithm, curve(r), outcome(r)) for r in (one, replace(two, **change))]
    with pytest.raises(UserError, match="cannot mix scales or engines"):
        frames.join(figure, runs)


def test_a_metric_that_was_not_measured_is_refused_with_those_that_were(
    sheets: Plan, tmp_path: Path
):
    figure = sheets.figures["first"]._replace(metric="test_return")
    recipe = sheets.recipes([figure], Request())[0]
    with pytest.raises(UserError, match=r"draws 'test_return'.*train_return"):
        frames.join(figure, [(tmp_path, curve(recipe), outcome(recipe))])


def test_a_figure_says_its_units_scale_engine_and_seeds(sheets: Plan, tmp_path: Path):
    canvas = curves.draw(sheets, sheets.figures["first"], made(sheets, tmp_path))
    words = " ".join(texts(canvas)).replace("\n", " ")
    for word in (
        "A figure",
        "smoke scale: not a result",
        "Scale smoke, engine batched, 2 seeds a curve",
        "Paper, Fig. 1",
        "Alpha",
        "Beta",
        "published",
        "updates (10 env steps each)",
    ):
        assert word in words, word
    assert [axes.get_ylabel() for axes in canvas.axes] == ["team return (sum over agents)"]


@pytest.mark.parametrize("engine", ["batched", "package"])
def test_a_simulator_of_a_game_is_never_shown_as_the_game(tmp_path: Path, engine: str):
    root = checkout(tmp_path)
    for path in (
        *root.glob("src/partage/config/sheets/*.toml"),
        root / "src/partage/config/sheets/reference/numbers.csv",
    ):
        path.write_text(path.read_text().replace("toy", "smac"))
    sheets = load(root)
    figure = sheets.figures["first"]
    recipes = sheets.recipes([figure], Request(engine=engine))
    finish(recipes, tmp_path)
    rows = frames.build(figure, recipes, tmp_path)
    canvas = curves.draw(sheets, figure, rows)
    table = tables.build(sheets, figure, rows)
    titles = [axes.get_title(loc="left") for axes in canvas.axes]
    pictured = " ".join(texts(canvas)).replace("\n", " ")
    written = tables.markdown(figure, table, claims.build(sheets, figure, rows))
    if engine == "batched":
        assert titles == ["a (simulator)"]
        assert all(
            "engine batched (a simulator, not StarCraft II)" in text for text in (pictured, written)
        )
        assert set(table["engine"]) == {"batched (a simulator, not StarCraft II)"}
    else:
        assert titles == ["a"] and "simulator" not in pictured + written + table.to_csv()


def test_only_smoke_scale_says_it_is_no_result(sheets: Plan, tmp_path: Path):
    canvas = curves.draw(sheets, sheets.figures["first"], made(sheets, tmp_path, scale="paper"))
    assert "not a result" not in " ".join(texts(canvas)) and "5 seeds" in " ".join(
        texts(canvas)
    ).replace("\n", " ")


def test_the_thick_line_is_the_mean_over_seeds(sheets: Plan, tmp_path: Path):
    rows = made(sheets, tmp_path)
    axes = curves.draw(sheets, sheets.figures["first"], rows).axes[0]
    thick = [line for line in axes.lines if line.get_linewidth() == 1.8]
    assert [colors.to_hex(line.get_color()).upper() for line in thick] == ["#0072B2", "#E69F00"]
    mean = rows[rows["algorithm"] == "alpha"].groupby("updates")["value"].mean()
    assert np.allclose(thick[0].get_ydata(), mean.to_numpy()) and np.allclose(
        thick[0].get_xdata(), mean.index
    )
    assert [line.get_ydata()[0] for line in axes.lines if line.get_linewidth() == 2.4] == [
        1.5
    ]  # published


def test_one_seed_is_drawn_without_a_band(sheets: Plan, tmp_path: Path):
    rows = made(sheets, tmp_path)
    alone = rows[rows["seed"] == 0]
    alone.attrs = rows.attrs
    canvas = curves.draw(sheets, sheets.figures["first"], alone)
    assert not canvas.axes[0].collections and "no band for one seed" in " ".join(
        texts(canvas)
    ).replace("\n", " ")


def test_drawing_again_gives_the_same_bytes(sheets: Plan, tmp_path: Path):
    rows = made(sheets, tmp_path)
    for name in ("x", "y"):
        files.save(
            curves.draw(sheets, sheets.figures["first"], rows),
            tmp_path / f"{name}.png",
            tmp_path / f"{name}.svg",
        )
    for kind in ("png", "svg"):
        assert (tmp_path / f"x.{kind}").read_bytes() == (tmp_path / f"y.{kind}").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "x.svg").read_bytes()


def test_colours_of_one_figure_differ_in_the_repository_s_own_sheets():
    sheets = load()
    for figure in sheets.figures.values():
        colours = {sheets.variants[name].colour for name in figure.algorithms}
        assert figure.kind in OF_TRIALS or len(colours) == len(figure.algorithms)
        assert (Path("src/partage/report/captions") / figure.caption).is_file()


def test_a_table_holds_final_performance_its_interval_and_the_published_value(
    sheets: Plan, tmp_path: Path
):
    rows = made(sheets, tmp_path)
    table = tables.build(sheets, sheets.figures["first"], rows)
    alpha = table.iloc[0]
    last = (
        rows[(rows["algorithm"] == "alpha") & (rows["updates"] >= 8.5)]
        .groupby("seed")["value"]
        .mean()
    )
    assert (
        alpha["value"] == pytest.approx(last.mean())
        and alpha["seeds"] == 2
        and alpha["published"] == 1.5
    )
    assert (alpha["ci95_low"], alpha["ci95_high"]) == pytest.approx((last.min(), last.max()))
    assert math.isnan(table.iloc[1]["published"]) and set(table["scale"]) == {"smoke"}


def test_several_tasks_are_pooled_by_the_interquartile_mean(sheets: Plan, tmp_path: Path):
    figure = sheets.figures["first"]._replace(tasks=["toy/a", "toy/b"])
    recipes = sheets.recipes([figure], Request(scale="lab"))
    finish(recipes, tmp_path)
    table = tables.build(sheets, figure, frames.build(figure, recipes, tmp_path))
    pooled = table[table["task"] == tables.POOLED]
    assert list(pooled["algorithm"]) == ["Alpha", "Beta"] and pooled["value"].between(0, 1).all()
    some = figure._replace(only={"beta": ["toy/a"]})
    table = tables.build(
        sheets, some, frames.build(some, sheets.recipes([some], Request(scale="lab")), tmp_path)
    )
    assert list(table[table["task"] == tables.POOLED]["algorithm"]) == [
        "Alpha"
    ]  # all tasks are not Beta's


def test_a_table_of_smoke_scale_says_so(sheets: Plan, tmp_path: Path):
    figure, rows = sheets.figures["first"], made(sheets, tmp_path)
    text = tables.markdown(
        figure, tables.build(sheets, figure, rows), claims.build(sheets, figure, rows)
    )
    assert (
        "**smoke scale: not a result**" in text
        and "| toy/a | Alpha |" in text
        and "nan" not in text
    )
    assert "**Claim: Beta is better.** Verdict: **not a result (smoke)**" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-700.6, "-701"),
        (0.43123, "0.431"),
        (12.345, "12.3"),
        (math.nan, "\u2013"),
        (1.0, "1"),
        (4.996e16, "5.0e+16"),
    ],
)
def test_numbers_are_written_to_the_digits_that_matter(value: float, text: str):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(20000, "20k"), (1.5e6, "1.5M"), (250, "250"), (0, "0")]
)
def test_steps_are_written_short(value: float, text: str):
    assert style.short_number(value) == text


def test_equal_curves_make_equal_frames_whatever_machine_and_time_trained_them(
    sheets: Plan, tmp_path: Path
):
    figure = sheets.figures["first"]
    recipes = sheets.recipes([figure], Request())
    for name, seconds in (("x", 1.0), ("y", 2.0)):
        for recipe, place in zip(recipes, finish(recipes, tmp_path / name), strict=True):
            machine = {"cpu_seconds": seconds, "wall_seconds": seconds, "finished": name}
            record.write(
                place, curve(recipe), outcome(recipe) | machine | {"resumed": int(seconds)}
            )
        frames.save(frames.build(figure, recipes, tmp_path / name), tmp_path / f"{name}.parquet")
    assert (tmp_path / "x.parquet").read_bytes() == (tmp_path / "y.parquet").read_bytes()


def test_a_run_of_an_edited_recipe_is_not_drawn(sheets: Plan, tmp_path: Path):
    figure = sheets.figures["first"]
    recipes = sheets.recipes([figure], Request())
    places = finish(recipes, tmp_path)
    edit(places[0] / "recipe.json", '"hidden": 16', '"hidden": 17')
    with pytest.raises(UserError, match="another recipe"):
        record.read(places[0])
    frames.build(figure, recipes, tmp_path)  # its record is of today's: what is wished for is not
    edited = [replace(recipe, settings={**recipe.settings, "hidden": 17}) for recipe in recipes]
    with pytest.raises(UserError, match="another recipe than today's"):
        frames.build(figure, edited, tmp_path)
    assert record.read(places[1])[1]["recipe"]["algorithm"] == "beta"


@pytest.mark.parametrize(
    ("sheet", "old", "new", "named"),
    [
        ("tasks", "smoke = 2, lab", "smoke = 4, lab", "alpha on toy/a (and 1 more) differs"),
        ("tasks", "smoke = 2, lab", "smoke = 1, lab", "alpha on toy/a (and 1 more) differs"),
        ("algorithms", "hidden = 16", "hidden = 17", "alpha on toy/a differs"),
        ("tasks", "smoke = 100", "smoke = 90", "alpha on toy/a (and 1 more) differs"),
    ],
)
def test_a_frame_of_other_settings_or_seeds_is_not_drawn(
    tmp_path: Path, monkeypatch, capsys, sheet: str, old: str, new: str, named: str
):
    one = small_plan(tmp_path)
    monkeypatch.setattr(planning, "PACKAGE", tmp_path / "src/partage")
    monkeypatch.chdir(tmp_path)
    finish(one.recipes([one.figures["first"]], Request()), Request().root)
    assert main(["frame", "first"]) == 0 and main(["draw", "first"]) == 0
    edit(tmp_path / f"src/partage/config/sheets/{sheet}.toml", old, new)
    assert main(["draw", "first"]) == 2
    said = capsys.readouterr().err
    assert named in said and "partage frame first`" in said and said.count("\n") == 1


def test_a_frame_of_a_run_that_was_trained_anew_is_not_drawn_and_packing_is_no_difference(
    sheets: Plan, tmp_path: Path
):
    figure, rows = sheets.figures["first"], made(sheets, tmp_path)
    recipes = sheets.recipes([figure], Request())
    assert frames.differences(rows.attrs, recipes, tmp_path) == []
    alone = sheets.recipes([figure], Request(seeds_per_run=1))
    assert frames.differences(rows.attrs, alone, tmp_path) == []
    again = curve(recipes[1]).assign(value=0.0)
    record.write(run_dir(tmp_path, recipes[1]), again, outcome(recipes[1]))
    assert frames.differences(rows.attrs, recipes, tmp_path) == ["beta on toy/a, seeds 0-1"]
    assert frames.differences(rows.attrs, recipes, tmp_path / "runs that are elsewhere") == []
    older = {key: rows.attrs[key] for key in ("figure", "scale", "engine")}
    assert len(frames.differences(older, recipes, tmp_path)) == 2  # of older code: it cannot say


def test_a_curve_that_other_code_began_is_named_on_the_figure(sheets: Plan, tmp_path: Path):
    figure = sheets.figures["first"]
    recipes = sheets.recipes([figure], Request())
    places = finish(recipes, tmp_path)
    of = {"code": {"hash": "a" * 64, "files": {}}, "earlier_code": ["b" * 64]}
    record.write(places[0], curve(recipes[0]), {**outcome(recipes[0]), **of})
    rows = frames.build(figure, recipes, tmp_path)
    pictured = " ".join(texts(curves.draw(sheets, figure, rows))).replace("\n", " ")
    assert "begun by other code than it ended with: alpha on toy/a, seeds 0-1" in pictured
