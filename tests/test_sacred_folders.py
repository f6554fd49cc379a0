"""Folders of sacred's as people have them: PyMARL's under every version, failed runs among them,
several experiments in one, and files that are broken.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from guests import brought, checkout_with_guest, imported, sacred, three, wrapped

SEEDS = (7, 3, 11)
TENSOR = {  # as jsonpickle writes one of torch's
    "py/reduce": [
        {"py/function": "torch._utils._rebuild_tensor_v2"},
        {"py/tuple": [{"py/b64": "gAKKCmz8"}, 0, {"py/tuple": []}]},
    ]
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return checkout_with_guest(tmp_path, monkeypatch)


def edited(path: Path, **more) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def runs(source: Path) -> list[Path]:
    return [source / "qmix" / str(seed) for seed in SEEDS]


def refused(here: Path, capsys, source: Path, *more: str) -> str:
    """What a refusal says: one line, exit code 2, and nothing written."""
    assert brought(here, source, *more) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and len(said) < 1200
    assert not (here / "results").exists()
    return said


EMPTY = {"return_mean": {"steps": [], "timestamps": [], "values": []}}


@pytest.mark.parametrize("content", [{}, EMPTY], ids=["nothing", "no values"])
def test_an_empty_metrics_json_beside_a_full_info_json_is_passed_over(here: Path, content: dict):
    source = three(here, new=False)
    for run in runs(source):
        (run / "metrics.json").write_text(json.dumps(content))
    assert brought(here, source) == 0
    curve, made = imported()
    assert len(curve) == 33 and made["seeds"]["0"]["file"].endswith("3/info.json")


def test_each_metric_is_taken_from_the_file_that_has_it(here: Path):
    source = three(here)
    for run in runs(source):
        (run / "info.json").write_text(
            json.dumps({"test_return_mean": [1, 2], "test_return_mean_T": [0, 1000]})
        )
    assert brought(here, source) == 0
    curve, made = imported()
    assert set(curve["metric"]) == {"train_return", "test_return"}
    assert len(made["seeds"]["0"]["files"]) == 2


def test_what_nobody_imports_may_be_anything(here: Path):
    source = three(here, new=False)
    for run in runs(source):
        edited(
            run / "info.json",
            grad_norm=[TENSOR] * 11,
            grad_norm_T=list(range(11)),
            words=["high"],
            words_T=[1, 2],
            loss=[float("nan")],
            loss_T=[TENSOR],
        )
    assert brought(here, source) == 0
    assert set(imported()[0]["metric"]) == {"train_return"}


def test_numpy_s_numbers_and_whole_floats_are_read_as_what_they_are(here: Path):
    source = three(here, new=False)
    array = {"dtype": "float64", "py/object": "numpy.ndarray", "values": [2.5]}
    step = {"dtype": "int64", "py/object": "numpy.int64", "value": 500}
    for run in runs(source):
        edited(
            run / "info.json",
            return_mean=[array, {**array, "values": 1.5}, wrapped(0.5)],
            return_mean_T=[0.0, step, 1e3],
        )
    assert brought(here, source) == 0
    curve = imported()[0]
    assert curve["value"].tolist() == [2.5, 1.5, 0.5] * 3
    assert curve["env_steps"].tolist() == [0, 500, 1000] * 3


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "nan is no finite number"),
        (float("inf"), "inf is no finite number"),
        (True, "True is no number"),
        (None, "None is no number"),
        (TENSOR, "py/reduce"),
        ({"py/id": 33}, "'py/id': 33"),
    ],
)
def test_a_value_that_is_no_number_is_refused_with_its_place(here: Path, capsys, value, says: str):
    source = three(here, new=False)
    edited(source / "qmix/3/info.json", return_mean=[0, value], return_mean_T=[0, 1000])
    said = refused(here, capsys, source)
    assert says in said and "qmix/3/info.json" in said and "number 2 of 2" in said


@pytest.mark.parametrize("step", [-1, 0.5, True, "10", None, 1e300, float("inf")])
def test_a_step_that_is_no_whole_number_from_0_on_is_refused(here: Path, capsys, step):
    source = three(here, new=False)
    edited(source / "qmix/3/info.json", return_mean=[0, 1], return_mean_T=[step, 1000])
    assert "whole steps and numbers" in refused(here, capsys, source)


@pytest.mark.parametrize("status", ["FAILED", "INTERRUPTED", "TIMEOUT", "RUNNING", "QUEUED"])
@pytest.mark.parametrize("left", ["whole", "short", "nothing", "torn"])
def test_a_run_that_did_not_end_is_left_out_by_name(here: Path, capsys, status: str, left: str):
    source = three(here)
    run = sacred(source / "qmix/5", 5, status=status, steps=300 if left == "short" else 1000, lr=9)
    if left in ("nothing", "torn"):
        for name in ("metrics.json", "info.json"):
            (run / name).unlink()
    if left == "torn":
        (run / "config.json").write_text('{"lr": 0.')
    assert brought(here, source) == 0
    said = capsys.readouterr().out
    assert f"left out {run} ({status})" in said
    made = imported()[1]
    assert [seed["seed"] for seed in made["seeds"].values()] == [3, 7, 11]
    assert made["left_out"] == [f"{run} ({status})"]


def test_pymarl_s_runs_that_reach_the_end_count_though_sacred_thinks_they_run(here: Path, capsys):
    source = three(here, new=False, status="RUNNING")
    sacred(source / "qmix/5", 5, new=False, status="RUNNING", steps=300)
    assert brought(here, source) == 0
    assert "left out" in capsys.readouterr().out
    assert len(imported()[1]["left_out"]) == 1


@pytest.mark.parametrize("status", ["COMPLETED", "RUNNING"])
def test_runs_that_were_to_be_tested_next_after_their_end_are_taken_with_a_remark(
    here: Path, capsys, status: str
):
    source = three(here, new=False, steps=100, t_max=1000, test_interval=10_000, status=status)
    assert brought(here, source) == 0
    assert "measured last at 100 of 1,000 steps" in capsys.readouterr().out
    assert len(imported()[1]["remarks"]) == 3


@pytest.mark.parametrize("settings", [{"t_max": 500, "test_interval": 10_000}, {"t_max": 1000}])
def test_runs_that_were_not_trained_to_the_end_are_refused(here: Path, capsys, settings: dict):
    source = three(here, new=False, steps=100, **({"test_interval": 100} | settings))
    assert "ends at 100 steps" in refused(here, capsys, source)


def test_too_few_that_ended_and_none_at_all_are_refused_with_what_was_left_out(here: Path, capsys):
    source = three(here)
    edited(source / "qmix/7/run.json", status="FAILED")
    said = refused(here, capsys, source)
    assert "holds 2 runs" in said and "qmix/7 (FAILED)" in said
    for run in runs(source):
        edited(run / "run.json", status="FAILED")
    assert "ended well" in refused(here, capsys, source)


BESIDE = {
    "repeat_id": [1, 2, 3],
    "label": ["a", "b", "c"],
    "hypergroup": [None, "x", "y"],
    "local_results_path": ["r", "s", "t"],
    "use_cuda": [True, False, True],
    "device": ["cpu", "cuda:0", "cuda:1"],
    "unique_token": ["u", "v", "w"],
    "save_model": [True, False, False],
    "wandb_mode": ["online", "offline", "offline"],
    "use_tensorboard": [True, False, False],
    "learner_log_interval": [1, 2, 3],
    "checkpoint_path": ["models/7", "models/3", "models/11"],
    "name": ["qmix_seed7", "qmix_seed3", "qmix_seed11"],
}


@pytest.mark.parametrize("key", BESIDE)
def test_seeds_may_differ_in_what_does_not_change_what_is_computed(here: Path, key: str):
    source = three(here)
    for run, value in zip(runs(source), BESIDE[key], strict=True):
        edited(run / "config.json", **{key: value})
    assert brought(here, source) == 0


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("lr", [1, 2, 2]),
        ("name", ["qmix", "vdn", "vdn"]),
        ("load_step", [0, 100, 100]),
        ("checkpoint_path", ["", "models/3", "models/11"]),
        ("evaluate", [True, False, False]),
        ("test_interval", [1, 2, 2]),
        ("batch_size_run", [None, 8, 8]),
    ],
)
def test_seeds_may_not_differ_in_what_changes_what_is_computed(
    here: Path, capsys, key: str, values: list
):
    source = three(here)
    for run, value in zip(runs(source), values, strict=True):
        edited(run / "config.json", **{key: value})
    said = refused(here, capsys, source)
    assert f"{key} is " in said and "lr': " not in said
    assert brought(here, source, "--ignore", key) == 0
    assert imported()[1]["ignored"] == [key]


def test_experiments_in_one_folder_are_told_by_the_nested_setting_that_differs(here: Path, capsys):
    source = three(here)
    for name, seed in (("1", 7), ("2", 3), ("4", 11)):
        run = sacred(source / "qmix" / f"more{name}", seed)
        config = json.loads((run / "config.json").read_text())
        config["env_args"]["time_limit"] = 25
        (run / "config.json").write_text(json.dumps(config))
    said = refused(here, capsys, source)
    assert "env_args.time_limit is 50 in one and 25 in the other" in said.replace(
        "25 in one and 50", "50 in one and 25"
    )
    assert "lbforaging" not in said
    option = said.partition("choosing with --where ")[2].partition(";")[0]
    assert brought(here, source, "--where", option) == 0  # the very advice
    assert len(imported()[1]["seeds"]) == 3
    assert brought(here, source, "--where", "env_args.time_limit=7") == 2
    assert "its values are 25, 50" in capsys.readouterr().err
    assert brought(here, source, "--ignore", "nope") == 2
    assert brought(here, source, "--where", "nope") == 2


def test_a_seed_that_was_run_twice_is_refused_with_both_folders_and_what_tells_them_apart(
    here: Path, capsys
):
    source = three(here)
    edited(sacred(source / "qmix/12", 3) / "config.json", repeat_id=2)
    edited(source / "qmix/3/config.json", repeat_id=1)
    said = refused(here, capsys, source)
    assert "qmix/12" in said and "qmix/3" in said and "--where repeat_id=2" in said


@pytest.mark.parametrize("name", ["config.json", "run.json", "metrics.json"])
@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"a":' * 300 + "1" + "}" * 300,
        '{"seed": ' + "1" * 5000 + "}",
        "\0",
    ],
    ids=lambda text: text[:9],
)
def test_a_broken_file_is_one_sentence_with_its_name(here: Path, capsys, name: str, content: str):
    source = three(here)
    (source / "qmix/3" / name).write_text(content)
    said = refused(here, capsys, source)
    assert f"qmix/3/{name}" in said or ("qmix/3)" in said and name == "metrics.json")


def test_whatever_a_configuration_holds_the_record_can_be_read(here: Path):
    source = three(here)
    deep: dict = {}
    for _ in range(28):
        deep = {"a": deep}
    for run in runs(source):
        edited(
            run / "config.json", limit=float("inf"), scale=float("nan"), words="\u00e4", deep=deep
        )
    assert brought(here, source) == 0
    config = imported()[1]["seeds"]["0"]["config"]
    assert config["limit"] == "inf" and config["scale"] == "nan" and config["words"] == "\u00e4"


def test_returns_of_agents_with_their_own_rewards_are_taken_as_their_sum(here: Path):
    source = three(here)
    for run in runs(source):
        content = json.loads((run / "metrics.json").read_text())
        renamed = {"total_return_mean": content["return_mean"], "agent_0_return_mean": {}}
        (run / "metrics.json").write_text(json.dumps(renamed))
    assert brought(here, source) == 0
    assert set(imported()[0]["metric"]) == {"train_return"}


def test_bytes_that_are_no_text_and_a_folder_in_a_file_s_place_are_refused(here: Path, capsys):
    source = three(here)
    (source / "qmix/3/metrics.json").write_bytes(b'{"a": "\xff\xfe"}')
    refused(here, capsys, source)
    (source / "qmix/7/run.json").unlink()
    (source / "qmix/7/run.json").mkdir()
    refused(here, capsys, source)


def test_sources_and_a_config_of_something_else_are_no_runs(here: Path):
    source = three(here)
    for name in ("_sources", "_resources", "models"):
        (source / "qmix" / name).mkdir()
        (source / "qmix" / name / "config.json").write_text('{"architecture": "bert"}')
    assert brought(here, source) == 0


def test_a_folder_with_only_what_was_printed_holds_no_run(here: Path, capsys):
    (here / "sacred/1").mkdir(parents=True)
    (here / "sacred/1/cout.txt").write_text("nothing")
    assert "holds no sacred run" in refused(here, capsys, here / "sacred")


def test_a_single_run_s_folder_is_read_and_one_of_its_files_is_refused_with_the_folder(
    here: Path, capsys
):
    source = three(here)
    assert "holds 1 runs" in refused(here, capsys, source / "qmix/3")
    said = refused(here, capsys, source / "qmix/3/metrics.json")
    assert f"name the folder {source}/qmix/3" in said


def test_a_metric_that_is_named_and_not_there_or_not_in_all_is_refused(here: Path, capsys):
    source = three(here)
    assert "for test_score" in refused(here, capsys, source, "--metric", "won=test_score")
    edited(source / "qmix/3/info.json", test_ep_length_mean=[1], test_ep_length_mean_T=[0])
    said = refused(here, capsys, source)
    assert "Seed 7" in said and "no value for test_length" in said


SACRED = """
import sys
from sacred import Experiment
from sacred.observers import FileStorageObserver
import numpy as np
folder, seed, how = sys.argv[1:]
ex = Experiment("pymarl", save_git_info=False)
ex.observers.append(FileStorageObserver(folder))
ex.add_config(name="qmix", lr=0.0005, env_args={"map_name": "3m"}, seed=int(seed))
@ex.main
def main(_run):
    for step in range(0, 1001, 100):
        value = np.mean([step / 1000, float(seed)])
        for name, measured in (("return_mean", value), ("grad_norm", np.ones((2, 2)))):
            _run.info.setdefault(name, []).append(measured)
            _run.info.setdefault(name + "_T", []).append(step)
            if how == "scalars":
                _run.log_scalar(name, float(np.mean(measured)), step)
    if seed == "5":
        raise RuntimeError("as runs do")
ex.run()
"""


@pytest.mark.skipif(find_spec("sacred") is None, reason="sacred is not installed")
@pytest.mark.parametrize("how", ["info", "scalars"])
def test_what_sacred_itself_writes_is_read(here: Path, capsys, how: str):
    script = here / "main.py"
    script.write_text(SACRED)
    for seed in (1, 2, 3, 5):
        command = [sys.executable, str(script), str(here / "sacred"), str(seed), how]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode == 0) == (seed != 5), done.stderr
    assert brought(here, here / "sacred") == 0
    assert "(FAILED)" in capsys.readouterr().out
    curve, made = imported()
    assert curve.loc[curve["seed"] == 0, "value"].tolist() == pytest.approx(
        [(step / 1000 + 1) / 2 for step in range(0, 1001, 100)]
    )
    file = "metrics.json" if how == "scalars" else "info.json"
    assert made["seeds"]["0"]["file"].endswith(file)
