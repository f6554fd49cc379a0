"""Packs of several cells: a run is what it would be in a pack of its own cell, to the last bit."""

import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from calibrated import made
from learning import SHEETS, as_in_training, quick  # noqa: F401
from running import apart, lay, recipe

from partage.config import calibration, costs
from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.runs import fitting, record, restoring, saved_state, status, train
from partage.runs.train import Training

ACTOR_CRITIC = [
    {"lr": 3e-4},
    {"lr": 7e-3, "gamma": 0.9, "clip": 0.2},
    {"entropy": 0.1, "value": 1.0},
]
PPO = [
    {"lr": 1e-3},
    {"lr": 7e-3, "gamma": 0.9, "gae_lambda": 0.8, "clip": 0.1},
    {"entropy": 0.1, "value": 1.0, "clip_norm": 0.05},
]
OFF_POLICY = [
    {"lr": 5e-4},
    {"lr": 3e-3, "gamma": 0.9, "clip": 0.3},
    {"epsilon_start": 0.7, "epsilon_end": 0.2, "epsilon_anneal": 100},
]
# of each learner: the settings of the cells of a pack
CELLS: dict[str, list[dict[str, Any]]] = {
    **dict.fromkeys(
        ("qmix", "qmix_derived", "kaleidoscope", "prism", "snp_ps", "gradps"), OFF_POLICY
    ),
    **dict.fromkeys(("a2c", "mdps", "seps", "hetdps", "adaps", "a2c_derived"), ACTOR_CRITIC),
    **dict.fromkeys(
        ("ppo", "mdps_ppo", "seps_ppo", "kaleidoscope_ppo", "lorasa", "hypermarl"), PPO
    ),
}
# kin of a learner of `running.CASES`: which, and what has theirs do in few updates what they do
KIN: dict[str, tuple[str, dict[str, Any]]] = {
    "qmix_derived": ("qmix", {"sets": "film"}),
    "kaleidoscope": ("qmix", {"reset_every": 60}),
    "prism": ("qmix", {}),
    "snp_ps": ("qmix", {}),
    "gradps": ("qmix", {"clones": 2, "window": 1, "target_every": 8, "futile": 0.5}),
    "hetdps": ("a2c", {"period": 8, "data": 5}),
    "adaps": ("a2c", {"pretraining": 16, "data": 8, "clusters": 3}),
    "a2c_derived": ("a2c", {"sets": "film"}),
    "mdps_ppo": ("ppo", {"period": 3, "data": 2, "fuse": 0.02}),
    "seps_ppo": ("ppo", {"pretraining": 4, "data": 4, "clusters": 3}),
    "kaleidoscope_ppo": ("ppo", {"reset_every": 150, "sharing": "id"}),
    "lorasa": ("ppo", {"together": 4}),
    "hypermarl": ("ppo", {"generator_hidden": 8}),
}
SMALLS = {
    "ppo": {"copies": 4, "segment": 16, "hidden": 16, "norms": "each"},
    "qmix": {"copies": 4, "batch": 4, "buffer": 9, "hidden": 16},
}


def base_of(name: str) -> Recipe:
    if name not in KIN:
        return complete(recipe(name))
    like, own = KIN[name]
    small = SMALLS.get(like, {"copies": 4})
    one = complete(replace(recipe(like), learner=name, settings=small | own))
    if "data" in own:  # a code takes many agents' transitions
        return one
    return replace(one, task="games/specialisation-3x3-10", options={"time_limit": "terminal"})


def complete(one: Recipe) -> Recipe:
    """The recipe with every setting of its learner, as the planner writes it."""
    defaults = {x.name: x.default for x in SHEETS.learners[one.learner].values()}
    return replace(one, settings=defaults | one.settings)


def cells(name: str) -> list[Any]:
    base = base_of(name)
    found = []
    for number, settings in enumerate(CELLS[name]):
        seeds = [0, 1] if number < 2 else [1]
        one = replace(base, algorithm=f"{name}+{number}", seeds=seeds)
        found.append(replace(one, settings=base.settings | settings))
    return found


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two states differ."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), at
        return [x for key in one for x in differences(one[key], other[key], f"{at}/{key}")]
    if isinstance(one, list | tuple):
        assert len(one) == len(other), at
        pairs = enumerate(zip(one, other, strict=True))
        return [x for n, (x1, x2) in pairs for x in differences(x1, x2, f"{at}/{n}")]
    same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    return [] if same else [at]


def left(folder: Path) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """The curve, the last policies and the best ones of a finished run."""
    last, best = (
        saved_state.decode((folder / name).read_bytes(), name, "")
        for name in (train.LAST, train.BEST)
    )
    return record.read(folder)[0], last, best


def same_outcome(one: Path, other: Path) -> None:
    (curve, last, best), (curve2, last2, best2) = left(one), left(other)
    pd.testing.assert_frame_equal(curve, curve2, check_exact=True)
    # a pack counts on while its longest run goes on, as packs of one cell do
    counted = {"/learner/episodes", "/learner/optimiser/kept/step"}
    assert set(differences(last, last2)) <= counted
    assert not differences(best, best2)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_leaves_in_a_pack_of_several_what_it_leaves_alone(name: str, tmp_path: Path) -> None:
    recipes = cells(name)
    alone = [lay(tmp_path / "alone" / one.algorithm, one) for one in recipes]
    packed = [lay(tmp_path / "packed" / one.algorithm, one) for one in recipes]
    for path in alone:
        train.run(path)
    train.run(packed[0], beside=packed[1:])
    curves = [left(path.parent)[0] for path in alone]
    assert not curves[0].equals(curves[1]), "the settings changed nothing"
    for one, other in zip(alone, packed, strict=True):
        same_outcome(one.parent, other.parent)


def seeds_apart(name: str) -> list[Recipe]:
    """Two recipes of one cell of a learner whose settings are the whole pack's."""
    own = quick(name) | {"batch": 4, "buffer": 9, "hidden": 16}
    one = complete(replace(recipe("derived"), learner=name, settings=own))
    return [replace(one, algorithm=f"{name}{seeds}", seeds=seeds) for seeds in ([0, 1], [2])]


PACKS = {name: cells(name) for name in ("qmix", "a2c", "ppo")}
PACKS |= {name: seeds_apart(name) for name in SHEETS.learners.keys() - {"imported"} - CELLS.keys()}


@pytest.mark.parametrize("name", sorted(PACKS))
def test_what_a_cell_saves_in_a_pack_is_what_it_saves_alone(name: str, tmp_path: Path) -> None:
    recipes = PACKS[name]
    folders = [tmp_path / one.algorithm for one in recipes]
    pack = Training(recipes)
    for _ in range(6):
        pack.advance()
    pack.save(*folders)
    for one, folder in zip(recipes, folders, strict=True):
        by_itself = Training(one)
        for _ in range(6):
            by_itself.advance()
        by_itself.save(tmp_path / "alone" / one.algorithm)
        assert not differences(saved(folder), saved(tmp_path / "alone" / one.algorithm))
    again = Training(recipes)
    again.resume(*folders)
    of_both = [restoring.state(training)["learner"] for training in (again, pack)]
    assert not differences(*of_both)


def saved(folder: Path) -> dict[str, Any]:
    """What a checkpoint holds, but for times."""
    payload = train.checkpoint.load(folder)
    assert payload is not None
    state = saved_state.decode(payload, "", "")
    return {name: x for name, x in state.items() if name not in ("started", "spent")}


@pytest.mark.parametrize("name", CELLS)
def test_a_killed_pack_goes_on_as_cells_together_or_by_themselves(
    name: str, tmp_path: Path
) -> None:
    recipes = cells(name)
    whole = [lay(tmp_path / "whole" / one.algorithm, one) for one in recipes]
    train.run(whole[0], beside=whole[1:])
    again = [lay(tmp_path / "again" / one.algorithm, one) for one in recipes]
    folders = [path.parent for path in again]
    pack = Training(recipes)
    for _ in range(5):
        pack.advance()
    pack.save(*folders)
    pack.advance()
    # killed between two saves: the first cell stands later than the others
    state = restoring.of_cell(restoring.state(pack), pack, pack.cells[0])
    rings = [] if pack.replay is None else pack.cells[0].of_rings(pack.replay.rings())
    before = pack.cells[0].stored
    train.checkpoint.save(folders[0], saved_state.encode(state), rings, before)
    train.run(again[0], beside=again[1:])
    assert [record.read(folder)[1]["resumed"] for folder in folders] == [1, 1, 1]
    for one, other in zip(whole, again, strict=True):
        same_outcome(one.parent, other.parent)


def test_a_pack_that_is_told_to_stop_saves_all_its_cells_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = cells("a2c")
    whole = [lay(tmp_path / "whole" / one.algorithm, one) for one in recipes]
    train.run(whole[0], beside=whole[1:])
    again = [lay(tmp_path / "again" / one.algorithm, one) for one in recipes]
    folders = [path.parent for path in again]

    def stopped_half_way() -> None:
        advance = Training.advance

        def told(training: Training) -> None:
            advance(training)
            if training.metrics.updates == 7:
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(Training, "advance", told)
        train.run(again[0], beside=again[1:])

    assert apart(stopped_half_way) == 143
    assert all((folder / "checkpoint").is_dir() for folder in folders)
    states = [status.look(folder, one) for folder, one in zip(folders, recipes, strict=True)]
    assert {state.name for state in states} == {status.STOPPED}
    train.run(again[0], beside=again[1:])
    for one, other in zip(whole, again, strict=True):
        same_outcome(one.parent, other.parent)


def test_what_cannot_share_a_pack_is_refused_in_one_sentence(tmp_path: Path) -> None:
    one, role = complete(recipe("a2c")), complete(replace(recipe("qmix"), learner="cds"))
    role = replace(role, settings={name: role.settings[name] for name in SHEETS.learners["cds"]})
    task = {"task": "mpe/30a_3c"}
    for base, change, words in (
        (one, task, "differ in task, but a2c on mpe/15a_3c and other on mpe/30a_3c have"),
        (
            one,
            {"settings": one.settings | {"hidden": 32}},
            "cannot differ in hidden, but .* 64 and",
        ),
        (one, {"engine": "package"}, "differ in engine, .* have 'batched' and 'package'"),
        (one, {"learner": "mdps"}, "differ in learner"),
        (role, {"settings": role.settings | {"lr": 0.1}}, "differ in lr"),
        (one, {"steps": 700}, "differ in steps, .* have 600 and 700: train them apart"),
        (one, {"settings": {"lr": 0.1}}, "one recipe alone names the settings adam_eps, clip"),
    ):
        other = replace(base, algorithm="other", **change)
        paths = [lay(tmp_path / each.algorithm, each) for each in (base, other)]
        with pytest.raises(UserError, match=words):
            train.run(paths[0], beside=paths[1:])
        assert not list(tmp_path.rglob("lock"))


def test_a_recipe_named_twice_and_two_in_one_folder_are_refused(tmp_path: Path) -> None:
    first = lay(tmp_path / "run", recipe("a2c"))
    (tmp_path / "run/other.json").write_text(recipe("a2c", steps=700).text())
    for again in (first, tmp_path / "run/../run/recipe.json", tmp_path / "run/other.json"):
        with pytest.raises(UserError, match="lie in one: name each run once"):
            train.run(first, beside=[again])


def test_a_pack_needs_what_its_recipes_need_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = replace(complete(recipe("qmix")), task="toy/small", seeds=[0])
    recipes = [replace(base, algorithm=f"qmix+{n}") for n in range(3)]
    (tmp_path / calibration.FILE).write_text(made().text())
    paths = [lay(tmp_path / "smoke/runs" / one.algorithm, one) for one in recipes]
    base_bytes = made().base_bytes
    alone = costs.of(recipes[0], made()).memory
    together = base_bytes + 3 * (alone - base_bytes)
    monkeypatch.setattr(fitting, "available_memory", lambda: together - 1)
    with pytest.raises(UserError) as refusal:
        train.run(paths[0], beside=paths[1:])
    assert re.fullmatch(
        r"qmix\+0 and 2 more of its pack on toy/small with 3 seeds needs about [0-9.]+ GiB "
        r"of memory, but this process may have [0-9.]+: train fewer seeds side by side \(one .*\.",
        str(refusal.value),
    )
    monkeypatch.setattr(fitting, "available_memory", lambda: together)
    fitting.refuse_what_does_not_fit(recipes, paths[0])


def test_a_cell_that_loses_its_numbers_fails_alone_and_is_no_obstacle_when_asked_again(
    tmp_path: Path,
) -> None:
    base = complete(recipe("a2c"))
    recipes = [
        replace(base, algorithm=name, settings=base.settings | {"lr": lr})
        for name, lr in (("sound", 1e-3), ("lost", 1e30), ("also-sound", 3e-4))
    ]
    paths = [lay(tmp_path / one.algorithm, one) for one in recipes]
    with pytest.raises(UserError, match=r"In .*/lost seed 0 ended") as refusal:
        train.run(paths[0], beside=paths[1:])
    assert "sound" not in str(refusal.value)
    for one in (recipes[0], recipes[2]):
        assert record.is_finished(tmp_path / one.algorithm, one)
    shutil.rmtree(tmp_path / "sound")
    lay(tmp_path / "sound", recipes[0])  # trained again, though the lost one is refused first
    with pytest.raises(UserError, match=r"In .*/lost seed 0 ended"):
        train.run(paths[0], beside=paths[1:])
    assert record.is_finished(tmp_path / "sound", recipes[0])
