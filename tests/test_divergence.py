"""Numbers that are none: a seed that has lost its own ends with a sentence, the others go on."""

import copy
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from running import lay, recipe, trained
from torch import Tensor

from partage.config.recipe import SCHEMA, Recipe
from partage.errors import UserError
from partage.learners.a2c import A2C
from partage.learners.mdps import MDPS
from partage.runs import environments, train

OF_EPISODES = {"copies": 2, "batch": 4, "target_every": 8}
LEARNERS: dict[str, dict[str, Any]] = {
    "a2c": {"copies": 4},
    "mdps": {"copies": 4, "period": 8, "data": 5},
    "seps": {"copies": 4, "pretraining": 4, "data": 4, "clusters": 2},
    "adaps": {"copies": 4, "pretraining": 4, "data": 4, "clusters": 2},
    "hetdps": {"copies": 4, "period": 8, "data": 5},
    "ppo": {"copies": 4, "segment": 8},
    "mdps_ppo": {"copies": 4, "segment": 8, "period": 2, "data": 2},
    "seps_ppo": {"copies": 4, "segment": 8, "pretraining": 2, "data": 2, "clusters": 2},
    "qmix": OF_EPISODES,
    "bdps": OF_EPISODES,
    "cds": OF_EPISODES,
    "eoi": OF_EPISODES,
    "rode": OF_EPISODES | {"clusters": 3, "interval": 2},
}


@pytest.mark.parametrize("lr", [1e20, 1e30])
@pytest.mark.parametrize("learner", LEARNERS)
def test_a_learning_rate_beyond_all_numbers_ends_in_a_sentence_and_no_record(
    learner: str, lr: float, tmp_path: Path
) -> None:
    episodes = "batch" in LEARNERS[learner]
    one = Recipe(
        schema=SCHEMA,
        scale="smoke",
        engine="batched",
        algorithm=learner,
        learner=learner,
        settings=LEARNERS[learner] | {"lr": lr},
        task="lbf/5x5-2p-1f-v3" if episodes else "mpe/15a_3c",
        options={"time_limit": "terminal"},
        seeds=[0, 1],
        steps=1500,
        log_every=100,
        test_every=200,
        test_episodes=2,
    )
    path = lay(tmp_path, one)
    for _ in range(2):  # asked again, it says so again, and trains nothing
        with pytest.raises(UserError, match=r"seed 0 ended at update \d+ .* became -?(nan|inf)"):
            train.run(path)
    assert not (tmp_path / "record.json").exists() and not (tmp_path / "policy.pt").exists()
    told = json.loads((tmp_path / "failed.json").read_text())
    assert [failure["seed"] for failure in told["failures"]] == [0, 1]


class Spoilt:
    """An environment whose second run sees or earns what is no number, from one step on."""

    def __init__(self, inner: Any, field: str, value: float) -> None:
        self.inner, self.field, self.value, self.steps = inner, field, value, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def step(self, actions: Tensor) -> Any:
        step = self.inner.step(actions)
        self.steps += 1
        if self.steps < 60:
            return step
        spoilt = getattr(step, self.field).clone()
        spoilt[1] = self.value
        return step._replace(**{self.field: spoilt})


SPOILT = ["a2c", "ppo", "qmix", "mdps", "seps"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Curves of runs whose environment tells no nonsense."""
    return {name: trained(tmp_path_factory.mktemp(name), recipe(name, [0])) for name in SPOILT}


@pytest.mark.xdist_group("spoilt")  # what the tests share is made once
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("field", ["obs", "reward"])
@pytest.mark.parametrize("name", SPOILT)
def test_an_environment_s_nonsense_ends_its_run_and_no_other(
    name: str,
    field: str,
    value: float,
    tmp_path: Path,
    alone: dict[str, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = environments.make

    def make(one: Recipe, purpose: str, copies: int, device: str) -> Any:
        inner = made(one, purpose, copies, device)
        return Spoilt(inner, field, value) if purpose == "env" else inner

    monkeypatch.setattr(environments, "make", make)
    words = {"obs": "observations", "reward": "reward"}[field]
    with pytest.raises(UserError, match=rf"seed 1 ended at update .* its {words} became {value}"):
        train.run(lay(tmp_path / "pack", recipe(name, [0, 1])))
    curve = pd.read_parquet(tmp_path / "pack/failed.parquet")
    own = curve[curve["seed"] == 0].reset_index(drop=True)
    assert own.equals(alone[name])
    assert curve[curve["seed"] == 1]["env_steps"].max() < recipe(name).steps


@pytest.mark.parametrize(
    ("measure", "value", "ends"),
    [
        ("gradient_norm", torch.nan, True),
        ("gradient_norm", torch.inf, False),  # its square overflowed: that step was left out
        ("distance/vanilla_bhattacharyya", torch.inf, False),  # policies that never do the same
        ("distance/wasserstein", torch.inf, True),
        ("td_loss", torch.inf, True),
    ],
)
def test_infinity_is_a_number_where_it_says_something(
    measure: str, value: float, ends: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = A2C.learn

    def spoilt(self: Any, rollout: Any) -> dict[str, Tensor]:
        return learn(self, rollout) | {measure: torch.tensor([0.0, value])}

    monkeypatch.setattr(A2C, "learn", spoilt)
    path = lay(tmp_path, recipe("a2c", [0, 1]))
    if not ends:
        train.run(path)
        assert (tmp_path / "record.json").exists() and not (tmp_path / "failed.json").exists()
        return
    with pytest.raises(UserError, match=rf"seed 1 ended at update 1 .* its {measure} became"):
        train.run(path)


def test_policies_that_are_no_numbers_at_the_end_are_no_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = A2C.state_dict

    def spoilt(self: Any, replay: bool = True) -> dict[str, Any]:
        state = copy.deepcopy(saved(self, replay))  # as it is saved, not as it learns
        state["net"]["front.banks.0.weight"][1] = torch.nan
        return state

    monkeypatch.setattr(A2C, "state_dict", spoilt)
    with pytest.raises(UserError, match=r"seed 1 ended at update .* its policy became nan"):
        train.run(lay(tmp_path, recipe("a2c", [0, 1])))


def test_policies_that_never_do_the_same_are_an_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = MDPS.state_dict

    def far_apart(self: Any, replay: bool = True) -> dict[str, Any]:
        state = saved(self, replay)
        apart = torch.full((2, 15, 15), torch.inf)
        return state | {"distances": state["distances"] | {"vanilla_bhattacharyya": apart}}

    monkeypatch.setattr(MDPS, "state_dict", far_apart)
    train.run(lay(tmp_path, recipe("mdps", [0, 1])))
    assert (tmp_path / "record.json").exists() and not (tmp_path / "failed.json").exists()
