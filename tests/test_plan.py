"""The planner: TOML sheets -> recipes."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import ROOT, SECOND, checkout, edit, finish, small_plan

from partage.cli.reproducing import Bar, Work
from partage.config import outcomes, plan, settings
from partage.config.plan import Request
from partage.config.recipe import SCALES, Recipe, packs, run_dir, seeds_name, write_recipes
from partage.errors import UserError
from partage.sims.skirmish.data import find_map

SHEETS = "src/partage/config/sheets"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return checkout(tmp_path)


def test_the_repository_s_own_sheets_load_and_plan_at_every_scale():
    sheets = plan.load()
    assert {"mpe/30a_5c_shuffle", "mpe/15a_3c_original", "lbf/8x8-2p-2f-coop-v3"} <= set(
        sheets.tasks
    )
    for scale in SCALES:
        recipes = sheets.recipes(sheets.select_figures(), Request(scale=scale))
        assert len(plan.cells(recipes)) == sum(len(recipe.seeds) for recipe in recipes)
        assert len({run_dir(Path(), recipe) for recipe in recipes}) == len(recipes)


def test_paper_scale_is_the_papers_budgets():
    sheets = plan.load()
    recipes = {
        (r.algorithm, r.task): r
        for r in sheets.recipes(sheets.select_figures(), Request(scale="paper"))
    }
    assert (
        recipes["fps", "mpe/15a_3c"].steps == 1_600_000
        and recipes["nps", "mpe/30a_5c"].steps == 2_000_000
    )
    assert recipes["qmix", "lbf/15x15-4p-5f-v2"].steps == 20_000_000
    assert recipes["qmix", "lbf/15x15-4p-5f-v2"].settings["epsilon_anneal"] == 200_000
    assert recipes["qmix", "lbf/15x15-4p-5f-v2"].options["time_limit"] == "terminal"
    assert recipes["fps", "mpe/15a_3c"].options["time_limit"] == "truncation"
    assert recipes["qmix", "grf/academy_3_vs_1_with_keeper"].steps == 10_000_000
    assert recipes["qmix", "grf/academy_pass_and_shoot_with_keeper"].steps == 8_000_000
    assert all(
        recipe.seeds == list(range(3 if recipe.family == "grf" else 5))
        for recipe in recipes.values()
    )


def test_battles_have_the_papers_steps_roles_and_periods():
    sheets, paper = plan.load(), Request(scale="paper")
    table = {  # steps in millions, epsilon's annealing, k, m, T_U, e   (BDPS App. G, Table 2)
        "bane_vs_bane": (2, 70, 3, 2, 8, 1),
        "MMM2": (2, 70, 5, 2, 7, 2),
        "5m_vs_6m": (2, 70, 3, 2, 5, 1),
        "3s_vs_5z": (2, 70, 2, 2, 14, 1),
        "2c_vs_64zg": (2, 70, 2, 2, 10, 1),
        "27m_vs_30m": (5, 70, 3, 2, 7, 1),
        "6h_vs_8z": (5, 500, 3, 2, 5, 2),
        "corridor": (5, 70, 3, 2, 10, 1),
        "3s5z_vs_3s6z": (5, 70, 3, 2, 7, 1),
    }
    for name, expected in table.items():
        made = sheets.recipes_of("bdps", f"smac/{name}", paper)[0]
        steps, annealed = made.steps / 1e6, made.settings["epsilon_anneal"] / 1e3
        assert (
            steps,
            annealed,
            *(made.settings[key] for key in ("roles", "groups", "period", "every")),
        ) == expected
        assert made.options == {"reward": "v1", "enemies": "unsorted", "time_limit": "terminal"}
        assert (made.test_every, made.test_episodes, len(made.seeds)) == (10_000, 32, 5)
        shown = sheets.tasks[f"smac/{name}"].facts
        assert (shown["agents"], shown["horizon"]) == (
            find_map(name).n_agents,
            find_map(name).limit,
        )


def loaded(imports: str, suspects: set[str]) -> set[str]:
    """Which of `suspects` a fresh interpreter has loaded after importing modules of ours."""
    code = f"import sys, {imports}; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return suspects & set(ran.stdout.split())


def test_the_planning_and_drawing_side_never_imports_torch():
    modules = "partage.__main__, partage.runs.record, partage.plots.curves, partage.analysis.tables"
    assert loaded(modules, {"torch", "pandas"}) == {"pandas"}


def test_the_planner_and_the_command_line_need_the_standard_library_only():
    assert (
        loaded("partage.__main__, partage.config.plan, partage._io", {"torch", "numpy", "pandas"})
        == set()
    )


def test_a_setting_is_the_last_of_default_variant_task_and_per_task_value(tmp_path: Path):
    found = {s.name: s for s in small_plan(tmp_path).settings("alpha", "toy/a", "paper")}
    assert (found["twice"].value, found["twice"].home) == (True, "learners/one.py")
    assert (found["lr"].value, found["lr"].home) == (1e-3, "algorithms.toml [alpha.settings]")
    assert (found["hidden"].value, found["hidden"].home) == (
        16,
        'algorithms.toml [alpha.task."toy/a"]',
    )
    assert {s.name: s for s in small_plan(tmp_path).settings("alpha", "toy/b", "paper")}[
        "hidden"
    ].value == 32


def test_what_a_task_holds_equal_beats_the_variant_and_reaches_only_learners_that_have_it(
    tmp_path: Path,
):
    sheets = small_plan(tmp_path)
    assert {s.name: s.value for s in sheets.settings("beta", "toy/a", "paper")}["anneal"] == 500
    assert "anneal" not in {s.name for s in sheets.settings("alpha", "toy/a", "paper")}


def test_a_whole_number_given_for_a_number_becomes_one(tmp_path: Path):
    lr = {s.name: s.value for s in small_plan(tmp_path).settings("alpha", "toy/a", "smoke")}["lr"]
    assert lr == 1.0 and type(lr) is float


def test_a_literal_may_have_a_name_of_its_own_in_another_module(root: Path):
    fields = settings.read(root / "src/partage/learners/one.py")
    assert fields["shape"].choices == ("round", "flat") and next(iter(fields)) == "sharing"


@pytest.mark.parametrize(
    ("sheet", "old", "new", "words"),
    [
        (
            "algorithms.toml",
            'learner = "one"',
            'learner = "onne"',
            ["learner", "'onne'", "did you mean 'one'"],
        ),
        (
            "algorithms.toml",
            "hidden = 16",
            "hiden = 16",
            ["setting", "'hiden'", "did you mean 'hidden'"],
        ),
        ("algorithms.toml", "hidden = 16", 'hidden = "16"', ["'hidden'", "a whole number", "'16'"]),
        ("algorithms.toml", "hidden = 16", "hidden = 16.0", ["'hidden'", "a whole number", "16.0"]),
        ("algorithms.toml", "hidden = 16", "hidden = true", ["'hidden'", "a whole number", "True"]),
        ("algorithms.toml", "hidden = 16", "lr = nan", ["'lr'", "a number"]),
        (
            "algorithms.toml",
            'sharing = "none"',
            'sharing = "non"',
            ["'sharing'", "'full', 'id', 'none'", "'non'"],
        ),
        (
            "algorithms.toml",
            "paper = 1e-3",
            "papper = 1e-3",
            ["scale", "'papper'", "did you mean 'paper'"],
        ),
        ("algorithms.toml", ", paper = 1e-3", "", ["scale", "'paper'"]),
        (
            "algorithms.toml",
            'label = "Beta"',
            'lable = "Beta"',
            ["key", "'lable'", "did you mean 'label'"],
        ),
        ("algorithms.toml", '"toy/a"', '"toy/c"', ["task", "'toy/c'"]),
        (
            "algorithms.toml",
            'label = "Beta"',
            "label = Beta",
            ["algorithms.toml", "not valid TOML"],
        ),
        (
            "tasks.toml",
            "settings.anneal",
            "settings.aneal",
            ["no learner has it", "'aneal'", "did you mean 'anneal'"],
        ),
        (
            "tasks.toml",
            "log_every = 10",
            "log_evry = 10",
            ["key", "'log_evry'", "did you mean 'log_every'"],
        ),
        ("tasks.toml", "log_every = 10", 'log_every = "10"', ["log_every", "whole number", "'10'"]),
        ("tasks.toml", "log_every = 10", "", ["log_every"]),
        ("tasks.toml", "test_every = 0", "test_every = 10", ["test_episodes"]),
        ("tasks.toml", '"terminal"', '"terminate"', ["time_limit", "did you mean 'terminal'"]),
        ("figures.toml", '"toy/a"', '"toy/aa"', ["task", "'toy/aa'", "did you mean 'toy/a'"]),
        (
            "figures.toml",
            ', "beta"',
            ', "beta", "betta"',
            ["algorithm", "'betta'", "did you mean 'beta'"],
        ),
        ("figures.toml", 'x = "updates"', 'x = "update"', ["x axis", "did you mean 'updates'"]),
        ("figures.toml", 'tasks = ["toy/a"]', 'tasks = "toy/a"', ["'tasks'", "list"]),
        ("figures.toml", "numbers.csv", "none.csv", ["none.csv"]),
        (
            "figures.toml",
            'x = "updates"',
            'x = "updates"\nline = "medan"',
            ["line", "did you mean 'median'"],
        ),
        (
            "figures.toml",
            'x = "updates"',
            'x = "updates"\nonly.bet = ["toy/a"]',
            ["only", "did you mean 'beta'"],
        ),
        (
            "figures.toml",
            'x = "updates"',
            'x = "updates"\nonly.beta = ["toy/b"]',
            ["only", "did you mean 'toy/a'"],
        ),
        (
            "figures.toml",
            'x = "updates"',
            'x = "updates"\nrun.step = 3',
            ["run", "did you mean 'steps'"],
        ),
        ("figures.toml", 'x = "updates"', 'x = "updates"\nrun.steps = 0', ["steps", "from 1 on"]),
        ("figures.toml", 'x = "updates"', 'x = "updates"\nonly.beta = "toy/a"', ["'beta'", "list"]),
        ("figures.toml", 'x = "updates"', 'x = "updates"\nbeside.loss = 1', ["'loss'", "a text"]),
        ("figures.toml", 'tasks = ["toy/a"]', "tasks = []", ["'tasks'", "at least one"]),
        (
            "figures.toml",
            'tasks = ["toy/a"]',
            'tasks = ["toy/a", "toy/a"]',
            ["'tasks'", "each once"],
        ),
        ("algorithms.toml", "hidden = 16", "hidden = 0", ["'hidden'", "a whole number from 1 on"]),
        ("algorithms.toml", "hidden = 16", "lr = -1", ["'lr'", "a number from 0 on"]),
        ("algorithms.toml", '"#E69F00"', '"bleu"', ["#rrggbb", "'bleu'"]),
        ("algorithms.toml", "[beta]", '["../beta"]', ["a name has letters", "'../beta'"]),
        ("tables.toml", "[sizes]", "[all]", ["a name is not 'all'"]),
        ("tables.toml", "[sizes]", "[first]", ["'first'", "in figures.toml already"]),
        (
            "tasks.toml",
            "log_every = 10",
            'log_every = 10\noptions.engine = "package"',
            ["'engine'", "--engine"],
        ),
    ],
)
def test_a_mistake_in_a_sheet_is_one_sentence_naming_what_is_known(
    root: Path, sheet, old, new, words
):
    edit(root / SHEETS / sheet, old, new)
    with pytest.raises(UserError) as refusal:
        plan.load(root)
    assert all(word in str(refusal.value) for word in words), refusal.value
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("    extra: list = None", ["'extra'", "list"]),
        ("    extra: int", ["'extra'", "default"]),
        ("    extra: int = 2.5", ["'extra'", "2.5"]),
        ("    extra: int = len('x')", ["'extra'", "plain value"]),
        ("    extra: = 3", ["one.py"]),
    ],
)
def test_a_learner_s_settings_that_cannot_be_read_are_refused(
    root: Path, line: str, words: list[str]
):
    path = root / "src/partage/learners/one.py"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError) as refusal:
        plan.load(root)
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_a_figure_may_have_budgets_of_its_own_where_no_other_draws_the_same(root: Path):
    sheet = root / SHEETS / "figures.toml"
    sheet.write_text(
        sheet.read_text().replace(
            'x = "updates"', 'x = "updates"\nrun.steps = { smoke = 70, lab = 80, paper = 90 }'
        )
    )
    assert {
        r.steps for r in plan.load(root).recipes_of("alpha", "toy/a", Request(scale="paper"))
    } == {90}
    with sheet.open("a") as file:
        file.write(SECOND)
    with pytest.raises(
        UserError,
        match="first and second both draw alpha on toy/a, so their keys `run` must be equal",
    ):
        plan.load(root)


def test_an_algorithm_may_stand_on_some_of_a_figure_s_tasks_only(root: Path):
    with (root / SHEETS / "figures.toml").open("a") as file:
        file.write(SECOND.replace('["alpha"]', '["alpha", "beta"]') + 'only.beta = ["toy/b"]\n')
    sheets = plan.load(root)
    made = sheets.recipes(sheets.select_figures("second"), Request())
    assert sheets.figures["second"].name == "second"
    assert [(r.algorithm, r.task) for r in made] == [
        ("alpha", "toy/a"),
        ("alpha", "toy/b"),
        ("beta", "toy/b"),
    ]


def test_a_run_that_two_figures_share_is_planned_once(root: Path):
    with (root / SHEETS / "figures.toml").open("a") as file:
        file.write(SECOND)
    sheets = plan.load(root)
    everything = sheets.recipes(sheets.select_figures(), Request())
    assert sorted((r.algorithm, r.task) for r in everything) == [
        ("alpha", "toy/a"),
        ("alpha", "toy/b"),
        ("beta", "toy/a"),
    ]


@given(st.integers(1, 40), st.integers(1, 12))
def test_packs_hold_every_seed_once_and_in_order(count: int, size: int):
    made = packs(count, size)
    assert [seed for pack in made for seed in pack] == list(range(count))
    assert all(len(pack) == size for pack in made[:-1])
    assert len({seeds_name(pack) for pack in made}) == len(made)


def test_a_run_lies_under_its_scale_algorithm_task_and_seeds(tmp_path: Path):
    recipe = small_plan(tmp_path).recipes_of("alpha", "toy/a", Request(scale="paper"))[0]
    assert run_dir(Request(scale="paper").root, recipe) == Path(
        "results/paper/runs/alpha/toy/a/0-4"
    )
    assert Request(scale="lab", engine="package").root == Path("results/lab-package")
    one = small_plan(tmp_path).recipes_of("alpha", "toy/a", Request(seeds_per_run=1))[1]
    assert run_dir(Request().root, one) == Path("results/smoke/runs/alpha/toy/a/1")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"scal": "paper"}, "did you mean 'scale'"),
        ({"scale": "papr"}, "did you mean 'paper'"),
        ({"engine": "native"}, "known are batched, package"),
        ({"seeds_per_run": "many"}, "should be a whole number"),
        ({"seeds_per_run": True}, "should be a whole number"),
        ({"seeds_per_run": 0}, "at least 1"),
        ({"results": "/tmp/a b"}, "has ' '"),
        ({"results": "{x}"}, "has '{'"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(config: dict, words: str):
    with pytest.raises(UserError, match=words):
        Request.of(config)


def test_a_recipe_survives_its_file(tmp_path: Path):
    recipe = small_plan(tmp_path).recipes_of("alpha", "toy/a", Request())[0]
    assert write_recipes(tmp_path, [recipe]) == [run_dir(tmp_path, recipe) / "recipe.json"]
    again = Recipe.load(run_dir(tmp_path, recipe) / "recipe.json")
    assert again == recipe and again.hash == recipe.hash and recipe.text().endswith("}\n")


def test_only_recipes_that_changed_are_written(tmp_path: Path):
    one, two = (
        small_plan(tmp_path).recipes_of(name, "toy/a", Request())[0] for name in ("alpha", "beta")
    )
    write_recipes(tmp_path, [one, two])
    times = [(run_dir(tmp_path, r) / "recipe.json").stat().st_mtime_ns for r in (one, two)]
    changed = replace(two, steps=two.steps + 1)
    assert write_recipes(tmp_path, [one, changed]) == [run_dir(tmp_path, two) / "recipe.json"]
    assert (run_dir(tmp_path, one) / "recipe.json").stat().st_mtime_ns == times[0]
    assert [p.name for p in run_dir(tmp_path, two).iterdir()] == [
        "recipe.json"
    ]  # no temporary file is left


def test_a_run_is_made_when_its_record_is_of_the_recipe_whatever_the_times_of_files(
    tmp_path: Path,
):
    recipe = small_plan(tmp_path).recipes_of("alpha", "toy/a", Request())[0]
    (folder,) = finish([recipe], tmp_path)
    for newer, older in (("recipe", "record"), ("record", "recipe")):
        os.utime(folder / f"{newer}.json", (2e9, 2e9))
        os.utime(folder / f"{older}.json", (1e9, 1e9))
        assert outcomes.is_made(folder, recipe)
        assert not outcomes.is_made(folder, replace(recipe, steps=recipe.steps + 1))
    write_recipes(tmp_path, [replace(recipe, steps=1)])  # a wish is no outcome
    assert outcomes.is_made(folder, recipe)
    (folder / "curve.parquet").unlink()
    assert not outcomes.is_made(folder, recipe)


def test_a_setting_of_another_type_is_another_recipe(tmp_path: Path):
    recipe = small_plan(tmp_path).recipes_of("alpha", "toy/a", Request())[0]
    (folder,) = finish([recipe], tmp_path)
    assert not outcomes.is_made(folder, replace(recipe, settings={**recipe.settings, "twice": 1}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, ["schema 2", "reads 1"]),
        ({"schema": None}, ["lacks", "schema"]),
        ({"steps": None}, ["lacks", "'steps'"]),
        ({"stepps": 3}, ["'stepps'", "did you mean 'steps'"]),
        ({"steps": "many"}, ["'steps'", "a whole number", "'many'"]),
        ({"steps": True}, ["'steps'", "True"]),
        ({"steps": 0}, ["steps", "at least 1"]),
        ({"seeds": [0, "1"]}, ["'seeds'"]),
        ({"seeds": [1, 1]}, ["different"]),
        ({"seeds": []}, ["seeds"]),
        ({"settings": {"lr": [1]}}, ["'settings'"]),
        ({"engine": "bached"}, ["engine", "did you mean 'batched'"]),
        ({"scale": "huge"}, ["scale", "'huge'"]),
        ({"task": "toy"}, ["family/name"]),
        ({"test_every": 5}, ["test_episodes"]),
        ({"steps": 2**63}, ["steps", "below 2^63"]),
        ({"seeds": [2**63]}, ["seeds", "below 2^63"]),
        ({"options": {"copies": 3}}, ["'copies'", "setting"]),
        ({"settings": {"lr": math.nan}}, ["not valid JSON", "nan is no number"]),
    ],
)
def test_a_recipe_that_is_not_one_is_refused(tmp_path: Path, change: dict, words: list[str]):
    recipe = (
        json.loads(small_plan(tmp_path).recipes_of("alpha", "toy/a", Request())[0].text()) | change
    )
    recipe = {key: value for key, value in recipe.items() if value is not None}
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))
    if change == {"schema": None}:
        words = ["not a recipe", "schema"]
    with pytest.raises(UserError) as refusal:
        Recipe.load(path)
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_a_recipe_of_half_a_file_is_refused(tmp_path: Path):
    path = tmp_path / "recipe.json"
    path.write_text('{"schema": 1, "sca')
    with pytest.raises(UserError, match="not valid JSON"):
        Recipe.load(path)


def test_the_look_of_a_figure_changes_with_its_label_and_not_with_its_settings(root: Path):
    def look() -> str:
        sheets = plan.load(root)
        return sheets.figure_content(sheets.figures["first"])

    before = look()
    edit(root / SHEETS / "algorithms.toml", "hidden = 16", "hidden = 17")
    assert look() == before
    edit(root / SHEETS / "algorithms.toml", '"Beta"', '"Better"')
    assert look() != before


def test_what_smoke_scale_cannot_show_is_made_there_only_by_name(tmp_path: Path):
    root = checkout(tmp_path)
    why = 'beyond_smoke = "nothing is learned in minutes"'
    path = root / "src/partage/config/sheets/figures.toml"
    path.write_text(path.read_text() + SECOND)
    edit(path, 'x = "updates"', f'x = "updates"\n{why}')
    sheets = plan.load(root)
    assert sheets.ready() == sheets.for_scale("lab").ready() == (["first", "second"], "")
    smoke = sheets.for_scale("smoke")
    ready, line = smoke.ready()
    assert ready == ["second"]
    assert "first: nothing is learned in minutes" in line and "--scale lab --figures first" in line
    assert smoke.ready("first") == (["first"], "")


def test_the_bar_s_estimate_comes_from_the_calibration_and_then_from_what_is_seen(tmp_path: Path):
    sheets = small_plan(tmp_path)
    request = Request(results=str(tmp_path / "results"))
    work = Work.of(sheets, request, ["first"])
    bar = Bar(work, cores=2)
    assert "0% [........................] 0 of 2 runs, 0 of 1 figures, about a minute left" in (
        bar.line(0.0)
    )
    finish(sheets.recipes(sheets.figures.values(), request)[:1], request.root)
    assert " 43% [##########..............] 1 of 2 runs" in bar.line(600.0)
    assert "about 9 minutes left" in bar.line(600.0)
