"""What a finished run leaves behind, and that a seed's curve does not depend on its pack."""

import importlib.metadata
import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from running import lay, recipe, trained

from partage import envs
from partage.errors import UserError
from partage.learners import make
from partage.runs import record, train
from partage.runs.code_stamps import code

every_learner = pytest.mark.parametrize("name", ["a2c", "qmix"])


@every_learner
def test_a_record_says_what_ran_where_on_which_code_and_for_how_long(
    name: str, tmp_path: Path
) -> None:
    one = recipe(name, steps=200)
    trained(tmp_path, one)
    made = json.loads((tmp_path / "record.json").read_text())
    assert made["recipe"] == json.loads(one.text()) and made["recipe_hash"] == one.hash
    assert made["code"]["files"] == code(one.learner, one.family)["files"]
    # of the package that was installed: PyPI's is 2.13.0, and calls itself 2.13.0+cu130
    assert made["versions"]["torch"] == importlib.metadata.version("torch")
    assert torch.__version__.startswith(made["versions"]["torch"].partition("+")[0])
    assert {"python", "numpy"} <= made["versions"].keys()
    assert made["machine"]["gpu"] is None and len(made["machine"]) > 1
    assert (
        made["started"] <= made["finished"] and made["wall_seconds"] > 0 and made["cpu_seconds"] > 0
    )
    assert (made["resumed"], made["threads"], made["device"]) == (0, 1, "cpu")
    best = {"best.pt"} if one.test_every else set()
    assert {path.name for path in tmp_path.iterdir()} == best | {
        "recipe.json",
        "lock",
        "curve.parquet",
        "record.json",
        "policy.pt",
        "kept",
    }


@every_learner
def test_the_trained_policy_can_be_loaded_and_is_without_its_replay(
    name: str, tmp_path: Path
) -> None:
    one = recipe(name, steps=200)
    trained(tmp_path, one)
    saved = torch.load(tmp_path / "policy.pt", weights_only=True)
    assert saved["recipe"] == one.hash and "replay" not in saved["learner"]
    spec = envs.make(one.task, [0], 1).spec
    networks = vars(make(one.learner, spec, one.settings, [7, 8]))[
        "net" if name == "a2c" else "nets"
    ]
    networks.load_state_dict(saved["learner"]["net" if name == "a2c" else "nets"])


@every_learner
def test_a_curve_is_measured_at_its_marks_and_at_the_end_of_the_budget(
    name: str, tmp_path: Path
) -> None:
    one = recipe(name, test_every=200)
    curve = trained(tmp_path, one)
    collected = 4 * 5 if name == "a2c" else 50  # most steps between two looks at the count
    for seed in one.seeds:
        rows = curve[curve.seed == seed]
        for metric, every, start in (("test_return", 200, 0), ("gradient_norm", 100, 100)):
            at = rows[rows.metric == metric].env_steps.tolist()
            marks = [*range(start, one.steps, every), one.steps]
            if metric == "test_return":
                assert len(at) == len(marks)
                assert all(
                    mark <= steps < mark + collected for steps, mark in zip(at, marks, strict=True)
                )
            assert at == sorted(set(at)) and one.steps <= at[-1] < one.steps + collected
        shared = rows[rows.metric.str.startswith("sharing/")]
        assert (shared.env_steps == 0).all() and (shared.value == 0).all() and len(shared) > 0
    assert set(curve.seed) == set(one.seeds)


@every_learner
def test_a_pack_s_curves_are_those_of_its_seeds_run_alone_to_the_last_bit(
    name: str, tmp_path: Path
) -> None:
    packed = trained(tmp_path / "pack", recipe(name, seeds=[3, 4]))
    for seed in (3, 4):
        alone = trained(tmp_path / str(seed), recipe(name, seeds=[seed]))
        own = packed[packed.seed == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone, check_exact=True)


def test_no_evaluation_is_no_row_of_it(tmp_path: Path) -> None:
    curve = trained(tmp_path, recipe("a2c", steps=200, test_every=0, test_episodes=0))
    assert not curve.metric.str.startswith("test_").any() and (curve.metric == "value_loss").any()


@pytest.mark.parametrize("device", ["tpu", "cuda", "CPU", ""])
def test_a_device_that_is_not_there_is_refused(device: str, tmp_path: Path) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    path = lay(tmp_path, recipe("a2c"))
    with pytest.raises(UserError, match=r"Device 'cuda'|Unknown device") as refusal:
        train.run(path, device)
    assert "\n" not in str(refusal.value) and not (tmp_path / "record.json").exists()


def test_a_recipe_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    for number, (more, words) in enumerate(
        [
            ({"learner": "nothing"}, "Unknown learner"),
            ({"settings": {"wind": 3}}, "wind"),
            ({"task": "nowhere/15a_3c"}, "Unknown environment family"),
            ({"task": "mpe/nothing"}, "nothing"),
            ({"options": {"wind": 3}}, "wind"),
        ]
    ):
        with pytest.raises(UserError, match=words) as refusal:
            train.run(lay(tmp_path / str(number), recipe("a2c", **more)))
        assert "\n" not in str(refusal.value)
        with record.hold(tmp_path / str(number)):  # it let go of the folder
            pass
