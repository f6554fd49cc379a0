"""Sweeps and arenas: trials equal for all, one choice a method, and methods side by side."""

import dataclasses
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small import checkout, curve, edit, outcome

from partage import learners
from partage.analysis import arena, choosing, frames
from partage.cli.parser import main
from partage.config import choices, plan
from partage.config.plan import Plan
from partage.config.recipe import Recipe, run_dir
from partage.config.request import Request
from partage.errors import UserError
from partage.plots import figures
from partage.runs import environments, record
from partage.runs.evaluate import all_settings
from partage.sims.games import ceilings
from partage.sims.games.tasks import named

SHEETS = "src/partage/config/sheets"
ENTRIES = """
[tried]
paper = "Ours"
title = "Trials"
caption = "sweep.rst"
kind = "sweep"
tasks = ["toy/a"]
algorithms = ["alpha", "beta"]
metric = "train_return"
x = "env_steps"
y_label = "return"
[tried.grid]
hidden = [8, 24]
twice = [true, false]

[shown]
paper = "Ours"
title = "Methods"
caption = "arena.rst"
kind = "arena"
tuned = "tried"
tasks = ["toy/b", "toy/c", "toy/d"]
algorithms = ["alpha", "beta"]
metric = "train_return"
x = "env_steps"
y_label = "return"
by = ["agents"]
[[shown.claims]]
says = "Beta is better."
kind = "better"
of = "beta"
than = ["alpha"]
"""
BEST = {"alpha": "alpha+hidden=24+twice=true", "beta": "beta+hidden=8+twice=false"}


pytestmark = pytest.mark.xdist_group("sweeps")  # what the tests share is made once


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The small checkout with a sweep, an arena, and two more tasks of another size."""
    return with_arena(tmp_path)


def with_arena(folder: Path) -> Path:
    made = checkout(folder)
    with (made / SHEETS / "figures.toml").open("a") as file:
        file.write(ENTRIES)
    with (made / SHEETS / "tasks.toml").open("a") as file:
        file.write("[toy.task.c]\nfacts.agents = 2\n[toy.task.d]\nfacts.agents = 2\n")
    return made


def learned(recipe: Recipe) -> pd.DataFrame:
    """A made-up curve: the best trial ends highest, beta above alpha, and who shares at the end."""
    own = 0.2 * (recipe.algorithm in BEST.values()) + 0.4 * recipe.algorithm.startswith("beta")
    returns = curve(recipe)
    parts = [returns.assign(value=returns["value"] + own)]
    groups = {"alpha": [0, 0, 0], "beta": [0, 1, 1]}[recipe.algorithm.partition("+")[0]]
    for agent, group in enumerate(groups):
        for block in ("back", "critic"):
            metric = f"sharing/{block}/{agent}"
            value = group if block == "back" else agent
            parts += [returns.drop_duplicates("seed").assign(metric=metric, value=float(value))]
    return pd.concat(parts, ignore_index=True)


def finish(recipes: list[Recipe], root: Path) -> None:
    """Write made-up runs: three CPU-seconds a seed."""
    for recipe in recipes:
        folder = run_dir(root, recipe)
        made = {**outcome(recipe), "cpu_seconds": 3.0 * len(recipe.seeds)}
        record.write(folder, learned(recipe), made)


def tried(sheets: Plan, request: Request) -> list[Recipe]:
    return sheets.recipes(sheets.select_figures("tried"), request)


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """The checkout after `partage sweep tried --scale lab --write`, its runs in its results."""
    root = with_arena(tmp_path_factory.mktemp("swept"))
    request = Request(scale="lab", results=str(root / "results"))
    finish(tried(plan.load(root).for_scale("lab"), request), request.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PACKAGE", root / "src/partage")
        assert main(["sweep", "tried", "--scale", "lab", *results_of(root), "--write"]) == 0
    return root


@pytest.fixture
def chosen(swept: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy of it, which the command line takes for the package."""
    copy = shutil.copytree(swept, tmp_path / "copy")
    monkeypatch.setattr(plan, "PACKAGE", copy / "src/partage")
    return copy


def results_of(root: Path) -> list[str]:
    return ["--results", str(root / "results")]


def test_each_method_is_tried_at_every_point_of_the_grid_above_all_that_sheets_set(root: Path):
    sheets = plan.load(root).for_scale("lab")
    recipes = tried(sheets, Request(scale="lab"))
    assert [recipe.algorithm for recipe in recipes][:4] == [
        "alpha+hidden=8+twice=true",
        "alpha+hidden=8+twice=false",
        "alpha+hidden=24+twice=true",
        "alpha+hidden=24+twice=false",
    ]
    assert len(recipes) == 8
    assert recipes[0].settings["hidden"] == 8  # algorithms.toml has 16 of alpha on this task
    assert recipes[0].settings["lr"] == 2e-3 and recipes[4].settings["anneal"] == 50


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hidden = [8, 24]", "anneal = [8, 24]", ["setting of learner 'one' 'anneal'", "[tried]"]),
        ("hidden = [8, 24]", "hidden = [8, 8]", ["'hidden' has a value twice", "fewer trials"]),
        ("hidden = [8, 24]", "hidden = [8, 2.5]", ["'hidden' takes a whole number", "2.5"]),
        ("hidden = [8, 24]", "hidden = 8", ["should be a list of values, at least one, but is 8"]),
        ("hidden = [8, 24]", "lr = [1e-3]", ["'lr' is what alpha is", "cannot try other values"]),
        ("[tried.grid]", '[tried.only]\nalpha = ["toy/a"]\n[tried.grid]', ["no 'only'", "all its"]),
        ('kind = "sweep"', 'kind = "curves"', ["kind 'sweep', and no other, has a 'grid'"]),
        ('tuned = "tried"', 'tuned = "first"', ["Unknown sweep 'first'", "known are tried"]),
        ('tuned = "tried"\n', "", ["kind 'arena', and no other, is 'tuned'"]),
        ('tasks = ["toy/b", ', 'tasks = ["toy/a", ', ["chosen on toy/a", "cannot be reported"]),
        ('by = ["agents"]', 'by = ["agent"]', ["Unknown fact", "did you mean 'agents'"]),
    ],
)
def test_a_sweep_that_is_not_equal_for_all_is_refused_when_sheets_are_read(
    root: Path, old: str, new: str, words: list[str]
):
    edit(root / SHEETS / "figures.toml", old, new)
    with pytest.raises(UserError) as refusal:
        plan.load(root)
    said = str(refusal.value)
    assert all(word in said for word in words) and "\n" not in said, said


def test_a_method_without_trials_is_refused_beside_tuned_ones(root: Path):
    sheet = root / SHEETS / "figures.toml"
    text = sheet.read_text()
    at = text.index("[tried]")
    alone = text[at:].replace('algorithms = ["alpha", "beta"]', 'algorithms = ["alpha"]', 1)
    sheet.write_text(text[:at] + alone)
    with pytest.raises(UserError, match="beta has no trials in tried, so it would stand untuned"):
        plan.load(root)


def test_an_arena_without_a_choice_is_refused_by_name_and_left_out_of_all(root: Path):
    sheets = plan.load(root).for_scale("lab")
    for ask in (sheets.select_figures, sheets.ready):
        with pytest.raises(UserError, match="shown: No settings were chosen for alpha"):
            ask("shown")
    assert [figure.name for figure in sheets.select_figures()] == ["first"]
    names, left_out = sheets.ready()
    assert names == ["first"] and left_out.startswith("shown: no settings chosen yet")


def test_at_smoke_scale_an_untuned_arena_stands_at_the_first_point_and_only_by_name(root: Path):
    sheets = plan.load(root).for_scale("smoke")
    (shown,) = sheets.select_figures("shown")
    assert shown.algorithms == ["alpha+hidden=8+twice=true", "beta+hidden=8+twice=true"]
    assert sheets.ready("shown") == (["shown"], "")
    assert [figure.name for figure in sheets.select_figures()] == ["first"]
    names, left_out = sheets.ready()
    assert names == ["first"] and left_out.startswith("shown: no settings chosen yet")


def test_the_best_trial_of_each_method_is_chosen_and_stands_in_the_arena(chosen: Path):
    (shown,) = plan.load(chosen).for_scale("lab").select_figures("shown")
    assert shown.algorithms == list(BEST.values())
    assert shown.claims[0].of == BEST["beta"] and shown.claims[0].than == [BEST["alpha"]]
    kept = choices.read_choices(chosen / SHEETS / choices.FILE)
    assert kept["tried"]["lab"]["beta"].settings == {"hidden": 8, "twice": False}
    (chosen / SHEETS / choices.FILE).unlink()
    choices.write_choices(chosen / SHEETS / choices.FILE, kept)
    assert choices.read_choices(chosen / SHEETS / choices.FILE) == kept


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tasks.toml", "lab = 1000", "lab = 2000"),
        ("figures.toml", "hidden = [8, 24]", "hidden = [8, 24, 32]"),
        ("chosen.toml", "hidden = 24", "hidden = 25"),
    ],
)
def test_a_choice_of_other_trials_than_today_s_counts_no_more(
    chosen: Path, file: str, old: str, new: str
):
    edit(chosen / SHEETS / file, old, new)
    with pytest.raises(UserError, match="chosen of other trials than tried has today"):
        plan.load(chosen).for_scale("lab").select_figures("shown")


def test_a_choice_of_fewer_seeds_is_no_equal_budget(chosen: Path, tmp_path: Path):
    few = ["--seed-count", "1", "--results", str(tmp_path / "few")]
    request = Request(scale="lab", seed_count=1, results=str(tmp_path / "few"))
    finish(tried(plan.load().for_scale("lab"), request), request.root)
    assert main(["sweep", "tried", "--scale", "lab", *few, "--write"]) == 0
    with pytest.raises(UserError, match="its budget is not that of the others"):
        plan.load().for_scale("lab").select_figures("shown")


def test_in_a_study_a_choice_is_the_study_s_and_comes_before_the_shipped_one(
    chosen: Path, tmp_path: Path, monkeypatch
):
    shipped = chosen / SHEETS / choices.FILE
    edit(shipped, "hidden = 24", "hidden = 25")
    before = shipped.read_bytes()
    own = tmp_path / "study/sheets"
    own.mkdir(parents=True)
    (own.parent / "partage.toml").write_text('partage = "0.2.0"\n')
    monkeypatch.chdir(own.parent)
    with pytest.raises(UserError, match="chosen of other trials"):
        plan.load().for_scale("lab").select_figures("shown")
    assert main(["sweep", "tried", "--scale", "lab", *results_of(chosen), "--write"]) == 0
    assert shipped.read_bytes() == before
    assert list(choices.read_choices(own / choices.FILE)) == ["tried"]
    (shown,) = plan.load().for_scale("lab").select_figures("shown")
    assert shown.algorithms == list(BEST.values())


def test_nothing_is_chosen_while_a_trial_is_missing(chosen: Path, capsys):
    request = Request(scale="lab", results=str(chosen / "results"))
    lost = tried(plan.load().for_scale("lab"), request)[3]
    (run_dir(request.root, lost) / "record.json").unlink()
    assert main(["sweep", "tried", "--scale", "lab", *results_of(chosen)]) == 2
    said = capsys.readouterr().err
    assert "1 of the 8 runs of tried are missing" in said and lost.algorithm in said
    assert "figures=tried" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tried.labb.alpha]\n", "Unknown scale 'labb' in chosen.toml [tried]"),
        ("[tried.lab.alpha]\nscore = 1.0\n", "chosen.toml [tried.lab.alpha] lacks the key"),
        ("[tried.lab]\nalpha = 3\n", "chosen.toml [tried.lab.alpha] should be a table"),
        ("[tried\n", "chosen.toml is not valid TOML"),
    ],
)
def test_a_damaged_choice_is_refused_in_a_sentence(root: Path, text: str, words: str):
    (root / SHEETS / choices.FILE).write_text(text)
    with pytest.raises(UserError) as refusal:
        plan.load(root)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_choice_is_kept_whatever_a_sweep_and_a_method_are_called(tmp_path: Path):
    made = {"a.b": {"lab": {"µ-1.5": choices.Choice({"lr": 1e-5, "on": True}, 0.5, "abc")}}}
    choices.write_choices(tmp_path / "chosen.toml", made)
    assert choices.read_choices(tmp_path / "chosen.toml") == made


def test_what_is_no_sweep_is_refused_with_those_that_there_are(chosen: Path, capsys):
    assert main(["sweep", "shown"]) == 2
    assert "Unknown sweep 'shown'" in capsys.readouterr().err


def drawn(root: Path, results: Path) -> tuple[Plan, plan.Figure, pd.DataFrame]:
    """The arena of the checkout, with made-up runs."""
    request = Request(scale="lab", results=str(results))
    sheets = plan.load(root).for_scale("lab")
    (shown,) = sheets.select_figures("shown")
    recipes = sheets.recipes([shown], request)
    finish(recipes, request.root)
    return sheets, shown, frames.build(shown, recipes, request.root)


def test_standings_say_how_each_method_ends_and_what_it_takes(chosen: Path, tmp_path: Path):
    standings = arena.build(*drawn(chosen, tmp_path / "arena"))
    assert list(standings["group"].unique()) == ["all tasks", "agents: 2", "agents: 3"]
    assert list(standings["tasks"]) == [3, 3, 2, 2, 1, 1]
    alpha, beta = standings.iloc[0], standings.iloc[1]
    assert beta["iqm"] > alpha["iqm"] and beta["improvement"] == 1.0
    assert np.isnan(alpha["improvement"])
    assert (alpha["degree"], alpha["sets"]) == (1.0, 1.0)  # the critics, apart, do not count
    assert beta["degree"] == pytest.approx(1 / 3) and beta["sets"] == pytest.approx(9 / 5)
    assert set(standings["cpu_seconds"]) == {3.0} and standings["parameters"].isna().all()
    lines = arena.markdown(standings)
    assert lines[-6].startswith("| all tasks | Beta (hidden 8, twice False)")


def test_an_arena_and_a_sweep_are_drawn_with_a_row_for_each_method(chosen: Path, tmp_path: Path):
    sheets, shown, frame = drawn(chosen, tmp_path / "arena")
    canvas = figures.draw(sheets, shown, frame)
    labels = [tick.get_text() for tick in canvas.axes[0].get_yticklabels()]
    assert labels == [sheets.variants[name].label for name in shown.algorithms]
    request = Request(scale="lab", results=str(chosen / "results"))
    (sweep,) = sheets.select_figures("tried")
    frame = frames.build(sweep, tried(sheets, request), request.root)
    canvas = figures.draw(sheets, sweep, frame)
    assert [tick.get_text() for tick in canvas.axes[0].get_yticklabels()] == ["Alpha", "Beta"]
    assert [each.algorithm for each in choosing.trials(sheets, sweep, frame) if each.chosen] == [
        *BEST.values()
    ]


def test_of_trials_that_end_alike_the_one_that_was_best_along_the_way_is_chosen(chosen: Path):
    request = Request(scale="lab", results=str(chosen / "results"))
    sheets = plan.load().for_scale("lab")
    (sweep,) = sheets.select_figures("tried")
    frame = frames.build(sweep, tried(sheets, request), request.root)
    early = frame["env_steps"] == frame["env_steps"].min()
    quick = frame["algorithm"].isin(sweep.algorithms[2::4])  # the third of each method's four
    alike = frame.assign(value=(~early | quick).astype(float))
    found = choosing.trials(sheets, sweep, alike)
    assert {each.score for each in found} == {found[0].score}
    assert [each.chosen for each in found] == [False, False, True, False] * 2
    assert [each.along > found[0].along for each in found] == [False, False, True, False] * 2


def test_the_first_of_equal_trials_is_chosen_and_what_is_no_number_never(chosen: Path):
    request = Request(scale="lab", results=str(chosen / "results"))
    sheets = plan.load().for_scale("lab")
    (sweep,) = sheets.select_figures("tried")
    frame = frames.build(sweep, tried(sheets, request), request.root)
    equal = frame.assign(value=1.0)
    assert [each.chosen for each in choosing.trials(sheets, sweep, equal)] == [
        True,
        *[False] * 3,
    ] * 2
    lost = frame.assign(value=frame["value"].where(frame["algorithm"] != BEST["beta"]))
    assert BEST["beta"] not in [
        each.algorithm for each in choosing.trials(sheets, sweep, lost) if each.chosen
    ]


def test_what_tasks_need_of_specialisation_is_what_the_games_theory_says():
    found = 0
    for task in plan.load().tasks.values():
        if "need" in task.facts:
            game = named(task.name)
            one = ceilings.of_sets(game, 1, ceilings.greedy)
            each = ceilings.of_sets(game, game.n_agents, ceilings.greedy)
            assert task.facts["need"] == pytest.approx(1 - one / each)
            assert task.facts["agents"] == game.n_agents
            found += 1
    assert found == 7


def test_the_suite_s_sweeps_try_every_method_as_often_and_their_arenas_take_all_of_them():
    loaded = plan.load()
    sheets = loaded.for_scale("lab")
    arenas = [figure for figure in loaded.figures.values() if figure.kind == "arena"]
    assert [each.name for each in arenas] == [
        "arena-games", "arena-spread", "arena-lbf", "arena-smac",
    ]  # fmt: skip
    for each in arenas:
        methods = loaded.figures[each.tuned].algorithms
        trials = [sheets.variants[name] for name in sheets.figures[each.tuned].algorithms]
        counts = {method: [one.trial_of for one in trials].count(method) for method in methods}
        assert each.algorithms == methods and len(set(counts.values())) == 1


def test_every_method_of_the_suite_s_sweeps_and_arenas_can_learn_on_their_tasks():
    loaded, specs, made = plan.load(), {}, set()
    sheets = loaded.for_scale("lab")
    for arena_ in [figure for figure in loaded.figures.values() if figure.tuned]:
        sweep = sheets.figures[arena_.tuned]
        first = {sheets.variants[name].trial_of: name for name in reversed(sweep.algorithms)}
        for method, task in product(arena_.algorithms, [*sweep.tasks, *arena_.tasks]):
            recipe = sheets.recipes_of(first[method], task, Request(scale="lab", seed_count=1))[0]
            if task not in specs:
                specs[task] = environments.spec(recipe)
            learners.make(recipe.learner, specs[task], all_settings(recipe), recipe.seeds)
            made.add((method, task))
    assert len(made) == 9 * 10 + 10 * 6 + 11 * 3 + 11 * 9


def test_a_digest_is_the_same_however_seeds_are_packed(root: Path):
    from partage.config import sweeps

    sheets = plan.load(root).for_scale("lab")
    apart = tried(sheets, Request(scale="lab", seeds_per_run=1))
    together = tried(sheets, Request(scale="lab"))
    assert len(apart) == 3 * len(together)
    assert sweeps.digest(apart) == sweeps.digest(together)
    other = [dataclasses.replace(each, steps=1001) for each in together]
    assert sweeps.digest(other) != sweeps.digest(together)
