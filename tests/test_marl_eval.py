"""marl-eval's JSON: out, in again with equal values, of BenchMARL, and as marl-eval takes it."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from guests import brought, checkout_with_guest, imported
from small import curve, finish, outcome

from partage.__main__ import main
from partage.config import plan
from partage.config.plan import Request
from partage.config.recipe import Recipe, run_dir
from partage.runs import export, finals, record

TESTED = ("train_return", "test_score", "test_return", "test_length")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return checkout_with_guest(tmp_path, monkeypatch)


def ours(metrics: tuple[str, ...]) -> list[Recipe]:
    """Finished runs of alpha and beta on toy/a, with numbers of their own."""
    request = Request(scale="lab")
    sheets = plan.load()
    recipes = []
    for algorithm in ("alpha", "beta"):
        recipes += sheets.recipes_of(algorithm, "toy/a", request)
    for place, recipe in zip(finish(recipes, request.root), recipes, strict=True):
        rows = pd.concat([curve(recipe, metric) for metric in metrics], ignore_index=True)
        rng = np.random.default_rng(len(recipe.algorithm))
        noisy = rows.assign(value=rows["value"] + rng.normal(size=len(rows)))
        record.write(place, noisy, outcome(recipe))
    return recipes


def exported(metrics: tuple[str, ...]) -> tuple[Path, pd.DataFrame]:
    """The file that the command writes, and alpha's curve."""
    recipes = ours(metrics)
    assert main(["export", "--scale", "lab"]) == 0
    root = Request(scale="lab").root
    return root / "marl-eval.json", record.read(run_dir(root, recipes[0]))[0]


@pytest.mark.parametrize("metrics", [("train_return",), TESTED])
def test_what_is_exported_is_imported_with_equal_values(here: Path, metrics: tuple[str, ...]):
    file, alpha = exported(metrics)
    assert brought(here, file, "--where", "algorithm=alpha") == 0
    back, made = imported()
    wanted = alpha if metrics == ("train_return",) else alpha[alpha["metric"] != "train_return"]
    columns = ["seed", "env_steps", "metric", "value"]
    assert sorted(map(tuple, back[columns].to_numpy())) == sorted(
        map(tuple, wanted[columns].to_numpy())
    )
    assert made["seeds"]["0"]["file"] == str(file) and made["seeds"]["0"]["absolute_metrics"]


def test_a_file_of_several_algorithms_or_of_another_task_is_refused_with_the_way_on(
    here: Path, capsys
):
    file, _ = exported(("train_return",))
    capsys.readouterr()
    assert brought(here, file) == 2
    said = capsys.readouterr().err
    assert "algorithm is alpha in one and beta in the other" in said
    assert "--where algorithm=" in said and said.count("\n") == 1
    content = json.loads(file.read_text())
    file.write_text(json.dumps({"toy": {"b": content["toy"]["a"]}}))
    assert brought(here, file, "--where", "algorithm=alpha") == 2
    assert "none of toy/a" in capsys.readouterr().err
    assert brought(here, file, "--where", "algorithm=alpha", "--where", "task=b") == 0


def benchmarl(seed: int, algorithm: str = "mappo") -> dict:
    """One run as BenchMARL's JSON writer leaves it: a value for each episode, last its maximum."""
    run: dict = {
        f"step_{i}": {"step_count": 100 * i, "return": [float(seed), i / 10], "agents_x": [0.0]}
        for i in range(11)
    }
    run["absolute_metrics"] = {"return": [float(seed)]}
    return {"vmas": {"balance": {algorithm: {f"seed_{seed}": run}}}}


def test_a_folder_of_benchmarl_s_files_is_read_with_the_mean_of_each_test(here: Path):
    for seed in (2, 0, 1):
        folder = here / f"outputs/mappo_balance_{seed}"
        folder.mkdir(parents=True)
        (folder / f"mappo_{seed}.json").write_text(json.dumps(benchmarl(seed)))
        (folder / "wandb-metadata.json").write_text('{"os": "Linux"}')
    assert brought(here, here / "outputs") == 0
    rows = imported()[0]
    assert set(rows["metric"]) == {"test_return"}
    assert rows.loc[rows["seed"] == 2, "value"].tolist() == [(2 + i / 10) / 2 for i in range(11)]


def broken(what: str) -> object:
    """A file of three seeds, one of them not as it should be."""
    seeds: dict = {}
    for seed in range(3):
        seeds |= benchmarl(seed)["vmas"]["balance"]["mappo"]
    step = seeds["seed_1"]["step_3"]
    whole = {"vmas": {"balance": {"mappo": seeds}}}
    if what == "nan":
        step["return"] = [0.0, float("nan")]
    elif what == "words":
        step["return"] = ["high"]
    elif what == "empty":
        step["return"] = []
    elif what == "huge":
        step["return"] = [10**400]
    elif what == "sum":
        step["return"] = [1e308, 1e308, 1e308]
    elif what == "count":
        del step["step_count"]
    elif what == "half":
        step["step_count"] = 0.5
    elif what == "twice":
        step["step_count"] = 400
    elif what == "list":
        seeds["seed_1"]["step_3"] = [1]
    elif what == "run":
        seeds["seed_1"] = None
    elif what == "name":
        seeds["one"] = seeds.pop("seed_1")
    elif what == "same":
        seeds["again_2"] = seeds["seed_2"]
    elif what == "flat":
        return {"return_mean": [1, 2]}
    elif what == "nothing":
        return {}
    elif what == "array":
        return [whole]
    return whole


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("nan", "seed_1 -> step_3: 'return' should be numbers, but nan"),
        ("words", "'high' is no number"),
        ("empty", "step_3: 'return' holds no number"),
        ("huge", "bits"),
        ("sum", "step_3"),
        ("count", "step_count should be a whole number, but None"),
        ("half", "0.5 is no whole number"),
        ("twice", "two values at one step, 400"),
        ("list", "an object is expected at vmas -> balance -> mappo -> seed_1 -> step_3"),
        ("run", "an object is expected at vmas -> balance -> mappo -> seed_1"),
        ("name", "'one'"),
        ("same", "have the same seed, 2"),
        ("flat", "an object is expected at return_mean"),
        ("nothing", "holds no sacred run"),
        ("array", "holds no object"),
    ],
)
def test_a_malformed_file_is_one_sentence_with_the_place(here: Path, capsys, what: str, says: str):
    (here / "runs.json").write_text(json.dumps(broken(what)))
    assert brought(here, here / "runs.json") == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
    assert not (here / "results").exists()


@pytest.mark.parametrize("content", ["", "{", "[" * 200_000, '{"a":' * 300 + "1" + "}" * 300])
def test_a_torn_or_deeply_nested_file_is_one_sentence(here: Path, capsys, content: str):
    (here / "runs.json").write_text(content)
    assert brought(here, here / "runs.json") == 2
    assert "runs.json" in capsys.readouterr().err


def test_runs_that_are_never_tested_have_a_final_value_that_says_what_it_is(here: Path, capsys):
    file, alpha = exported(("train_return",))
    assert "mean of the last 15%" in capsys.readouterr().out
    run = json.loads(file.read_text())["toy"]["a"]["alpha"]["seed_1"]
    mine = alpha[alpha["seed"] == 1]
    x, y = np.array(mine["env_steps"], float), np.array(mine["value"])
    named = "train_return_mean_of_last_15_percent"
    assert run["absolute_metrics"] == {
        "train_return": [finals.final(x, y)],
        named: [finals.final(x, y)],
    }
    assert run["step_49"][named] == [finals.final(x[:50], y[:50])]
    assert run["step_49"]["train_return"] == [y[49]]


def mixed(here: Path) -> dict:
    """A file with tested runs, of which one has its absolute metric."""
    recipes = ours(TESTED)
    root = Request(scale="lab").root
    each = {"env_steps": 40} | {name: [0.5, 1.0] for name in TESTED[1:]}
    worth = {"recipe_hash": recipes[0].hash, "seeds": {str(seed): each for seed in range(3)}}
    (run_dir(root, recipes[0]) / "absolute.json").write_text(json.dumps(worth))
    (run_dir(root, recipes[1]) / "best.pt").touch()
    made, remarks = export.marl_eval(recipes, root)
    assert len(remarks) == 1 and "partage absolute " in remarks[0] and "beta" in remarks[0]
    alpha = made["toy"]["a"]["alpha"]["seed_0"]["absolute_metrics"]
    assert alpha["test_score"] == [0.5, 1.0] and len(alpha["test_score" + export.label("")]) == 1
    return made


def accepted(made: dict) -> None:
    """All steps of all runs of an environment measure the same, the absolute metrics too."""
    for tasks in made.values():
        measured = set()
        for by_algorithm in tasks.values():
            for by_seed in by_algorithm.values():
                for run in by_seed.values():
                    assert run["absolute_metrics"]
                    measured |= {frozenset(step) - {"step_count"} for step in run.values()}
        assert len(measured) == 1


@pytest.mark.parametrize("metrics", [("train_return",), TESTED, None])
def test_every_step_and_the_absolute_metrics_of_an_environment_measure_the_same(
    here: Path, metrics: tuple[str, ...] | None
):
    accepted(json.loads(exported(metrics)[0].read_text()) if metrics else mixed(here))


@pytest.mark.skipif(find_spec("marl_eval") is None, reason="marl-eval is not installed")
@pytest.mark.parametrize("metrics", [("train_return",), TESTED, None])
def test_marl_eval_itself_takes_the_file(here: Path, metrics: tuple[str, ...] | None, capsys):
    from marl_eval.utils import data_processing_utils as processing  # type: ignore[import]
    from marl_eval.utils.diagnose_data_errors import DiagnoseData  # type: ignore[import]

    made = json.loads(exported(metrics)[0].read_text()) if metrics else mixed(here)
    assert all(DiagnoseData(made).check_data()["toy"].values())
    name = "train_return" if metrics == ("train_return",) else "test_return"
    for wanted in (name, export.label(name)):
        processed = processing.data_process_pipeline(made, [wanted])
        assert "issue" not in capsys.readouterr().out
        matrices, _ = processing.create_matrices_for_rliable(processed, "toy", [wanted])
        assert matrices[f"mean_norm_{wanted}"]["alpha"].shape == (3, 1)


@pytest.mark.skipif(find_spec("marl_eval") is None, reason="marl-eval is not installed")
def test_what_marl_eval_s_own_logger_writes_is_read(here: Path, monkeypatch: pytest.MonkeyPatch):
    # a service's client, which is imported beside the logger and which nothing here calls
    monkeypatch.setitem(sys.modules, "neptune", ModuleType("neptune"))
    from marl_eval.json_tools.json_logger import JsonLogger  # type: ignore[import]

    for seed in (5, 6, 7):
        logger = JsonLogger(str(here / "logs"), "ff_ippo", "2s3z", "smax", seed)
        for i in range(11):
            logger.write(100 * i, "mean_episode_return", seed + i, evaluation_step=i)
        logger.write(1000, "mean_episode_return", 99.0, is_absolute_metric=True)
    assert brought(here, here / "logs") == 0
    rows = imported()[0]
    assert rows.loc[rows["seed"] == 2, "value"].tolist() == [7 + i for i in range(11)]
