"""Which cells the plan has trained side by side on a GPU, and the workflow that trains them so.

There is no GPU here: a driver that tells of one is made up, and so is the trainer.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from calibrated import calibration_of
from small import ROOT, STAND_IN_HEAD, edit, finish, small_plan, workflow
from test_workflow import jobs, snakemake, trained

from partage.__main__ import main
from partage.config import calibration, costs, packs, plan, settings
from partage.config import jobs as asking
from partage.config.packs import Card
from partage.config.recipe import Recipe
from partage.config.request import Request
from partage.errors import UserError
from partage.runs import gpus

SHEETS = plan.load()
BILL = calibration.load(ROOT / "results")
SWEEP = "games-sweep"


@pytest.fixture(scope="module")
def trials() -> list[Recipe]:
    """The sweep of nine methods on three games: nine trials each, of three seeds."""
    scaled = SHEETS.for_scale("lab")
    return scaled.recipes(scaled.select_figures(SWEEP), Request(scale="lab"))


def packed(recipes: Sequence[Recipe], card: Card, bill: calibration.Calibration | None = BILL):
    found = packs.of(recipes, SHEETS.learners, card, bill)
    flat = [id(recipe) for pack in found for recipe in pack]
    assert sorted(flat) == sorted(map(id, recipes)), "each once"
    for pack in found:
        packs.refuse(pack)
    return found


def seeds(pack: Sequence[Recipe]) -> int:
    return sum(len(recipe.seeds) for recipe in pack)


def test_the_trials_of_a_sweep_make_a_pack_of_27_seeds_for_each_method_and_task(trials):
    found = packed(trials, Card(100))
    assert len(trials) == 243 and [seeds(pack) for pack in found] == [27] * 27
    for pack in found:
        (one, *_) = {(each.learner, each.task, each.algorithm.partition("+")[0]) for each in pack}
        assert {each.algorithm.partition("+")[0] for each in pack} == {one[2]}
        assert len({(each.settings["lr"], each.settings["entropy"]) for each in pack}) == 9


def test_a_pack_has_no_more_seeds_than_are_asked_for(trials):
    assert {seeds(pack) for pack in packed(trials, Card(20))} == {18, 9}
    assert {len(pack) for pack in packed(trials, Card(1))} == {1}


def test_a_pack_takes_no_more_memory_than_the_card_has_by_the_bill(trials):
    assert BILL is not None
    of_one_method = trials[:9]
    memory = costs.memory_of_pack(of_one_method[:4], BILL)
    assert [len(pack) for pack in packed(of_one_method, Card(100, memory + 1))] == [4, 4, 1]
    assert [len(pack) for pack in packed(of_one_method, Card(100, memory - 1))] == [3, 3, 3]
    assert {len(pack) for pack in packed(of_one_method, Card(100, 1.0))} == {1}


def test_what_the_bill_does_not_know_and_what_others_made_is_by_itself(trials):
    assert {len(pack) for pack in packed(trials[:9], Card(100), None)} == {1}
    elsewhere = [replace(each, task="games/unheard-of") for each in trials[:9]]
    assert {len(pack) for pack in packed(elsewhere, Card(100))} == {1}
    imported = [replace(each, learner="imported", settings={}) for each in trials[:2]]
    assert packs.of_several(imported, SHEETS.learners, Card(100), BILL) == {}


def test_cells_that_differ_in_more_than_settings_of_a_run_are_apart_and_seeds_of_one_together(
    trials,
):
    one = trials[0]
    for change in (
        {"settings": one.settings | {"hidden": 32}},
        {"steps": one.steps + 1},
        {"engine": "package"},
        {"task": trials[-1].task},
    ):
        assert len(packed([one, replace(one, algorithm="other", **change)], Card(100))) == 2
    of_bdps = SHEETS.recipes_of(
        "bdps", "lbf/15x15-4p-5f-v2", Request(scale="lab", seed_count=4, seeds_per_run=2)
    )
    assert [seeds(pack) for pack in packed(of_bdps, Card(100))] == [4]
    slower = replace(of_bdps[1], settings=of_bdps[1].settings | {"lr": 1e-4})
    assert len(packed([of_bdps[0], slower], Card(100))) == 2  # it cannot differ from run to run


def test_packs_of_the_same_recipes_have_the_same_name_and_others_another(trials):
    def names(recipes: Sequence[Recipe]) -> list[str]:
        return list(packs.of_several(recipes, SHEETS.learners, Card(100), BILL))

    longer = [replace(each, steps=each.steps + 1) for each in trials[:9]]
    assert names(trials[:9]) == names(list(trials[:9])) != names(longer)


def test_a_pack_s_job_asks_for_the_memory_of_all_and_for_its_process_s_once(trials):
    pack = trials[:9]
    need = asking.SPARE_MEMORY * costs.memory_of_pack(pack, BILL) / asking.MB
    assert asking.memory_of_pack(pack, BILL, "cuda", 24) == pytest.approx(need, abs=len(pack) + 1)
    assert (
        asking.memory_of_pack(pack[:1], BILL, "cuda", 24)
        == asking.ask(pack[0], BILL, "cuda", 24).memory
    )


@pytest.mark.parametrize(
    ("told", "bytes_of_it"), [("81559\n24564\n", 24564 * 2**20), ("[N/A]\n", None)]
)
def test_the_smallest_card_s_memory_counts(told: str, bytes_of_it, tmp_path: Path, monkeypatch):
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\nprintf '{told}'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert gpus.memory() == (bytes_of_it or float("inf"))


def test_the_plan_names_the_packs_of_a_gpu_and_says_nothing_of_them_on_the_cpu(
    tmp_path: Path, capsys
):
    def said(*more: str) -> str:
        words = ["plan", "--scale", "lab", "--figures", SWEEP, "--results", str(tmp_path)]
        assert main([*words, *more]) == 0
        return capsys.readouterr().out

    plain = said()
    assert "on a GPU" not in plain and plain == said("--device", "cpu")
    shown = said("--device", "cuda", "--seeds-per-pack", "20")
    assert shown.startswith(plain)
    assert "54 packs of several runs, 0 runs by themselves (at most 20 seeds; " in shown
    assert "on roll_call/3x3-10: 18 seeds, " in shown and " GiB by the bill" in shown
    assert shown.count("    ippo+entropy=0.05+lr=0.003/roll_call/3x3-10/0-2\n") == 1


@pytest.mark.parametrize("count", [0, 101])
def test_a_pack_of_no_seed_or_too_many_is_refused_in_a_sentence(count: int):
    with pytest.raises(UserError, match=r"seeds_per_pack is at (least 1|most 100 \(more).* is \d"):
        Request.of({"seeds_per_pack": count})


def test_settings_are_each_run_s_own_where_the_learner_s_own_file_says_so(tmp_path: Path):
    file = tmp_path / "mine.py"
    lines = "class Settings:\n    lr: Each[float] = 1e-3\n    hidden: int = 64\n"
    for said, per_run in (("PER_RUN = True\n", True), ("PER_RUN = False\n", False), ("", False)):
        file.write_text(said + lines)
        assert {name: x.per_run for name, x in settings.read(file).items()} == {
            "lr": per_run,
            "hidden": False,
        }


def test_a_run_that_is_trained_waits_for_no_gpu(tmp_path: Path, monkeypatch, capsys):
    def take(_: int) -> None:
        raise AssertionError("a GPU was waited for")

    monkeypatch.setattr(gpus, "take", take)
    recipe = small_plan(tmp_path).recipes_of("alpha", "toy/a", Request())[0]
    (folder,) = finish([recipe], tmp_path / "results/smoke")
    words = ["train", str(folder / "recipe.json"), "--device", "cuda"]
    assert main(words) == 0 and "is trained already" in capsys.readouterr().out
    (folder / "curve.parquet").unlink()
    with pytest.raises(AssertionError, match="waited for"):
        main(words)


# What trains: all recipes that are named, but those that a file names, which lose their numbers.
STAND_IN = (
    STAND_IN_HEAD
    + """from partage.config import outcomes
from partage.config.recipe import Recipe
lost, trained = set(Path("lost.txt").read_text().split()), []
paths = [Path(word) for word in sys.argv if word.endswith("recipe.json")]
for path in paths:
    recipe = Recipe.load(path)
    finished = outcomes.is_made(path.parent, recipe) or record.restore(path.parent, recipe, None)
    if recipe.algorithm not in lost and not finished:
        trained.append(recipe.algorithm)
        made = outcome(recipe) | {{"recipe_hash": recipe.hash}}
        record.write(path.parent, curve(recipe), made)
if trained:
    with open("trained.txt", "a") as file:
        file.write("+".join(trained) + "\\n")
sys.exit(2 if any(Recipe.load(path).algorithm in lost for path in paths) else 0)
"""
)
FASTER = """
[faster]
learner = "one"
label = "Faster"
colour = "#009E73"
settings = { sharing = "none", lr = 7, hidden = 16 }
[slower]
learner = "one"
label = "Slower"
colour = "#CC79A7"
settings = { sharing = "none", lr = 0.1, hidden = 16 }
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with three cells that can share a pack, and one that cannot."""
    root = workflow(tmp_path / "workspace")
    learner = root / "src/partage/learners/one.py"
    edit(learner, "    lr: float = 3e-4", "    lr: Each[float] = 3e-4")
    edit(learner, "\n@dataclass", "\nPER_RUN = True\n\n@dataclass")
    sheets = root / "src/partage/config/sheets"
    with (sheets / "algorithms.toml").open("a") as file:
        file.write(FASTER)
    edit(sheets / "figures.toml", '"alpha", "beta"]\nm', '"alpha", "beta", "faster", "slower"]\nm')
    (root / "results").mkdir()
    bill = calibration_of("toy/a", learner="one")
    (root / "results" / calibration.FILE).write_text(bill.text())
    stand_in = root / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable, tests=str(ROOT / "tests")))
    stand_in.chmod(0o755)
    (root / "lost.txt").write_text("")
    return root


GPU = "device=cuda"
RUNS = "results/smoke/runs"


def made(root: Path) -> set[str]:
    return {path.parts[-5] for path in (root / RUNS).glob("*/toy/a/0-1/record.json")}


def test_on_a_gpu_cells_that_can_are_trained_in_one_job_and_elsewhere_each_has_its_own(root: Path):
    alone = {"train": 4, "frame": 1, "draw": 1, "table": 1}
    assert jobs(root) == alone
    assert jobs(root, "--workflow-profile", "profiles/slurm", config=GPU) == alone
    assert jobs(root, config=f"{GPU} seeds_per_pack=3") == alone
    assert jobs(root, config=f"{GPU} seeds_per_pack=4") == alone | {"train_pack": 1}
    assert jobs(root, config=GPU) == alone | {"train_pack": 1}
    ran = snakemake(root, config=GPU)
    assert ran.returncode == 0, ran.stderr
    assert trained(root) == ["alpha+faster+slower", "beta"]
    assert made(root) == {"alpha", "beta", "faster", "slower"}
    assert not list((root / "results/smoke/packs").glob("*"))
    assert jobs(root, config=GPU) == jobs(root) == {}


def test_of_a_pack_only_what_is_not_made_is_trained(root: Path):
    assert snakemake(root, config=GPU).returncode == 0
    before = (root / RUNS / "alpha/toy/a/0-1/record.json").stat().st_mtime_ns
    edit(root / "src/partage/config/sheets/algorithms.toml", "lr = 0.1", "lr = 0.2")
    shutil.rmtree(root / RUNS / "faster")
    assert jobs(root, config=GPU) == {"train_pack": 1, "train": 2, "frame": 1, "draw": 1}
    assert snakemake(root, config=GPU).returncode == 0
    assert trained(root) == ["alpha+faster+slower", "beta", "faster+slower"]
    assert (root / RUNS / "alpha/toy/a/0-1/record.json").stat().st_mtime_ns == before


def test_a_run_that_loses_its_numbers_fails_alone(root: Path):
    (root / "lost.txt").write_text("faster")
    ran = snakemake(root, config=GPU)
    assert ran.returncode == 1
    assert "Error in rule train:" in ran.stderr and "Error in rule train_pack" not in ran.stderr
    assert made(root) == {"alpha", "beta", "slower"}
    assert trained(root) == ["alpha+slower", "beta"]
    (root / "lost.txt").write_text("")
    assert snakemake(root, config=GPU).returncode == 0
    assert trained(root) == ["alpha+slower", "beta", "faster"]
