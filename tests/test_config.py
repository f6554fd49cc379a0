"""The config files: one check of types, variants like each other, labels of axes said once."""

import json
from pathlib import Path

import pytest
from small import ROOT, checkout, edit

from partage.config import plan
from partage.config.plan import Request
from partage.config.recipe import Recipe, options_of_root, root_of
from partage.errors import UserError

SHEETS = "src/partage/config/sheets"
LIKE = """
[gamma]
like = "alpha"
label = "Gamma"
colour = "#009E73"
settings.twice = false
task."toy/a".lr = 5e-4
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return checkout(tmp_path)


def add(root: Path, file: str, text: str) -> None:
    with (root / SHEETS / file).open("a") as sheet:
        sheet.write(text)


def refusal(root: Path) -> str:
    with pytest.raises(UserError) as refused:
        plan.load(root)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_variant_like_another_has_its_learner_and_its_settings_below_its_own(root: Path):
    add(root, "algorithms.toml", LIKE)
    made = plan.load(root).recipes_of("gamma", "toy/a", Request(scale="paper"))[0]
    assert made.learner == "one" and made.algorithm == "gamma"
    assert made.settings["sharing"] == "none" and made.settings["hidden"] == 16
    assert made.settings["twice"] is False and made.settings["lr"] == 5e-4


def test_an_inherited_setting_s_home_is_where_it_stands(root: Path):
    add(root, "algorithms.toml", LIKE)
    found = {s.name: s.home for s in plan.load(root).settings("gamma", "toy/a", "paper")}
    assert found["hidden"] == 'algorithms.toml [alpha.task."toy/a"]'
    assert found["twice"] == "algorithms.toml [gamma.settings]"
    assert found["lr"] == 'algorithms.toml [gamma.task."toy/a"]'


def test_a_variant_may_be_like_one_that_is_like_another_and_stands_below(root: Path):
    add(root, "algorithms.toml", LIKE.replace("gamma", "delta").replace('"alpha"', '"gamma"'))
    add(root, "algorithms.toml", LIKE)
    made = plan.load(root).recipes_of("delta", "toy/b", Request())[0]
    assert made.learner == "one" and made.settings["hidden"] == 32


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('like = "alpha"', 'like = "alpa"', ["[gamma] like", "did you mean 'alpha'"]),
        ('like = "alpha"', 'like = "gamma"', ["gamma -> gamma"]),
        ('like = "alpha"', 'like = "alpha"\nlearner = "one"', ["[gamma]", "one of them"]),
        ('like = "alpha"\n', "", ["[gamma]", "one of them"]),
        ('like = "alpha"', "like = 1", ["'like'", "a text"]),
        ("settings.twice", "settings.twise", ["[gamma.settings]", "did you mean 'twice'"]),
        ("settings.twice", "settings.anneal", ["setting of learner 'one'", "'anneal'"]),
    ],
)
def test_a_likeness_that_cannot_be_is_refused(root: Path, old: str, new: str, words: list[str]):
    add(root, "algorithms.toml", LIKE.replace(old, new))
    said = refusal(root)
    assert all(word in said for word in words), said


def test_variants_like_each_other_are_refused(root: Path):
    add(root, "algorithms.toml", LIKE)
    edit(root / SHEETS / "algorithms.toml", 'learner = "one"', 'like = "gamma"')
    assert "alpha -> gamma -> alpha" in refusal(root)


def test_a_figure_without_labels_takes_its_family_s(root: Path):
    add(root, "tasks.toml", '[toy.axes]\nupdates = "updates of ours"\ntrain_return = "return"\n')
    sheet = root / SHEETS / "figures.toml"
    edit(sheet, 'x_label = "updates (10 env steps each)"\n', "")
    edit(sheet, 'y_label = "team return (sum over agents)"\n', "")
    figure = plan.load(root).figures["first"]
    assert (figure.x_label, figure.y_label) == ("updates of ours", "return")


def test_a_figure_s_own_label_stands_before_its_family_s(root: Path):
    add(root, "tasks.toml", '[toy.axes]\ntrain_return = "return"\n')
    assert plan.load(root).figures["first"].y_label == "team return (sum over agents)"


def test_an_x_axis_has_a_label_even_where_nobody_wrote_one(root: Path):
    sheet = root / SHEETS / "figures.toml"
    edit(sheet, 'x_label = "updates (10 env steps each)"\n', "")
    assert plan.load(root).figures["first"].x_label == "updates"


def test_a_y_axis_that_nobody_labels_is_refused(root: Path):
    sheet = root / SHEETS / "figures.toml"
    edit(sheet, 'y_label = "team return (sum over agents)"\n', "")
    said = refusal(root)
    assert "'y_label'" in said and "tasks.toml [toy] has no axes.train_return" in said


def test_every_figure_of_the_suite_has_labels():
    for figure in plan.load().figures.values():
        assert figure.x_label and figure.y_label


@pytest.mark.parametrize("smooth", ["0", "0.0", "0.5"])
def test_a_whole_number_is_a_number(root: Path, smooth: str):
    edit(root / SHEETS / "figures.toml", 'x = "updates"', f'x = "updates"\nsmooth = {smooth}')
    assert plan.load(root).figures["first"].smooth == float(smooth)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("figures.toml", 'x = "updates"', 'x = "updates"\nsmooth = true'),
        ("figures.toml", 'x = "updates"', 'x = "updates"\nsmooth = nan'),
        ("figures.toml", 'x = "updates"', 'x = "updates"\nrun.seeds = true'),
        ("tasks.toml", "seeds = { smoke = 2, lab = 3, paper = 5 }", "seeds = true"),
        ("tasks.toml", "log_every = 10", "log_every = true"),
        ("tasks.toml", "log_every = 10", "log_every = 10.0"),
        ("algorithms.toml", "hidden = 16", "hidden = true"),
        ("algorithms.toml", "hidden = 16", "lr = true"),
        ("algorithms.toml", "hidden = 16", "twice = 1"),
    ],
)
def test_true_is_no_number_and_one_is_not_true_in_any_file(
    root: Path, file: str, old: str, new: str
):
    edit(root / SHEETS / file, old, new)
    assert new.rpartition(" ")[2].title() in refusal(root).title()


def test_true_is_no_number_in_a_snapshot_a_request_or_a_recipe(root: Path):
    snapshot = '[one]\npaper = ""\ntitle = ""\ncaption = ""\ntask = "toy/a"\nseed = true\n'
    add(root, "snapshots.toml", snapshot + "step = 1\npictures = 1\n")
    assert "'seed' should be a whole number" in refusal(root)
    with pytest.raises(UserError, match="seeds_per_run should be a whole number"):
        Request.of({"seeds_per_run": True})
    (root / SHEETS / "snapshots.toml").write_text("")
    recipe = json.loads(plan.load(root).recipes_of("alpha", "toy/a", Request())[0].text())
    (root / "recipe.json").write_text(json.dumps(recipe | {"steps": True}))
    with pytest.raises(UserError, match="'steps' should be a whole number"):
        Recipe.load(root / "recipe.json")


@pytest.mark.parametrize(
    ("place", "options"),
    [
        ("results/smoke/runs/nps/mpe/15a_3c/0-1", ""),
        ("results/lab/runs/nps/mpe/15a_3c/0-1/recipe.json", " --scale lab"),
        (
            "/big/tried/paper-package/runs/nps/mpe/15a_3c/0",
            " --scale paper --engine package --results /big/tried",
        ),
        ("results/published/runs/nps/mpe/15a_3c/0-4", ""),
        ("recipe.json", ""),
    ],
)
def test_advice_about_a_run_repeats_the_options_that_made_it(place: str, options: str):
    assert options_of_root(root_of(Path(place))) == options


def test_advice_about_a_request_repeats_its_options():
    asked = Request.of({"scale": "lab", "results": "out", "seeds_per_run": 1, "figures": "first"})
    assert asked.options == " --scale lab --results out --seeds-per-run 1"
    assert asked.workflow.endswith(
        "--config scale=lab engine=batched results=out figures=first seeds_per_run=1"
    )
    assert Request().options == ""


def test_the_suite_s_config_files_repeat_no_label():
    text = (ROOT / SHEETS / "figures.toml").read_text()
    assert "x_label =" not in text and "y_label =" not in text


NESTED = "options.deep = " + "[" * 200 + "]" * 200


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("tasks.toml", "seeds = { smoke = 2", "seeds = { smoke = 100_000_000", "at most 1,000"),
        ("tasks.toml", "steps = 60", "steps = 18446744073709551616", "below 2^63"),
        ("tasks.toml", "steps = 60", f"steps = 0x{'f' * 6000}", "more than 128 bits"),
        ("tasks.toml", "steps = 60", "steps = 60\nlog_every = 61", "its curve would have no point"),
        ("tasks.toml", "[toy.task.b]", '[toy.task.".."]', "a task's name has letters"),
        ("tasks.toml", "[toy.task.b]", '[toy.task."a/b"]', "a task's name has letters"),
        ("tasks.toml", "[toy.task.b]", '[toy.task."/tmp/b"]', "a task's name has letters"),
        ("tasks.toml", "[toy.task.b]", '[toy.task."b\\u0000"]', "a task's name has letters"),
        ("tasks.toml", "[toy.task.b]", f'[toy.task."{"b" * 101}"]', "100 bytes at most"),
        ("tasks.toml", "[toy.task.b]", "[toy.task.A]", "differ in capitals alone"),
        ("tasks.toml", "options.size = 4", "options.size = inf", "a plain value"),
        ("tasks.toml", "options.size = 4", "options.size = 2026-11-26", "a date or a time"),
        ("tasks.toml", "options.size = 4", NESTED, "nested more than 32 levels"),
        ("tasks.toml", 'label = "the other"', 'label = "the\\u0007other"', "control characters"),
        ("tasks.toml", "steps = 60", "test_episodes = 10_001", "at most 10,000"),
        ("algorithms.toml", "#E69F00", "#0072b2", "alpha and beta have one colour"),
        ("algorithms.toml", 'label = "Beta"', 'label = "Alpha"', "have one label"),
        ("algorithms.toml", 'label = "Beta"', 'label = ""', "is empty"),
        ("algorithms.toml", "hidden = 16", "hidden = 9223372036854775808", "a whole number"),
        ("figures.toml", '"first.rst"', '"../first.rst"', "caption, a file's name,"),
        ("figures.toml", '"numbers.csv"', '"/etc/passwd"', "reference, a file's name,"),
        ("figures.toml", 'than = ["alpha"]', 'than = ["beta"]', "each once"),
        ("tables.toml", 'tasks = ["toy/a", "toy/b"]', "tasks = []", "at least one"),
    ],
)
def test_what_could_harm_a_run_or_a_folder_is_refused_when_the_files_are_read(
    root: Path, file: str, old: str, new: str, words: str
):
    edit(root / SHEETS / file, old, new)
    assert words in refusal(root)


def test_a_config_file_may_begin_with_a_byte_order_mark(root: Path):
    sheet = root / SHEETS / "tasks.toml"
    sheet.write_bytes(b"\xef\xbb\xbf" + sheet.read_bytes())
    assert "toy/a" in plan.load(root).tasks


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a" * 10, b"[" * 200_000, None])
def test_a_config_file_that_is_none_is_refused(root: Path, content: bytes | None):
    sheet = root / SHEETS / "tasks.toml"
    sheet.unlink()
    if content is None:
        sheet.mkdir()
    else:
        sheet.write_bytes(content)
    assert "tasks.toml" in refusal(root)


def test_the_strip_of_an_imported_algorithm_is_refused(root: Path):
    text = '[theirs]\nlearner = "imported"\nlabel = "Theirs"\ncolour = "#009E73"\n'
    add(root, "algorithms.toml", text)
    sheet = root / SHEETS / "figures.toml"
    edit(sheet, '["alpha", "beta"]', '["alpha", "beta", "theirs"]\nstrip = "theirs"')
    assert "who shares with whom" in refusal(root)
