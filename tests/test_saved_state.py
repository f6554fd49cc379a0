"""What a learner is lies in what it saves, and a run that has ended stays as it is."""

import copy
import io
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
import torch
from learning import (  # noqa: F401 (a fixture)
    VARIANTS,
    Player,
    as_in_training,
    known,
    lengthy,
    optimisers,
    parts,
    same,
    snapshot,
    structures,
)
from running import lay, recipe
from torch import Generator, Tensor, nn

from partage.errors import UserError
from partage.learners import Learner
from partage.nn.state import share
from partage.runs import record, train
from partage.sharing.overlap import Shares

every_structure = pytest.mark.parametrize("variant", structures())
LEARNERS = {x.learner: name for name, x in VARIANTS.items()}  # a variant of each
every_learner = pytest.mark.parametrize("variant", LEARNERS.values())
TRANSIENT = {"gradients", "hook"}  # written anew by every step


def few(variant: str) -> dict[str, Any]:
    """Settings under which a learner trains, clusters and measures after a few updates."""
    wanted = {"batch": 8, "copies": 4, "target_every": 8}
    if VARIANTS[variant].learner in ("mdps", "mdps_ppo"):
        wanted |= {"period": 5, "data": 5}
    if VARIANTS[variant].learner == "hetdps":  # all begin with one network
        wanted |= {"period": 4, "data": 4}
    return {name: x for name, x in wanted.items() if name in known(variant)}


def player(variant: str, seeds: list[int]) -> Player:
    """A player whose agents have sets of their own, where its learner can have that."""
    try:
        return Player(variant, lengthy(variant), seeds, **few(variant), sharing="none")
    except UserError:
        return Player(variant, lengthy(variant), seeds, **few(variant))


def everything(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """All numbers that an object holds, by the attributes that lead to them."""
    if isinstance(thing, Tensor):
        yield path, thing.detach().clone()
    elif isinstance(thing, Generator):
        yield path, thing.get_state()
    elif isinstance(thing, int | float | str | bytes | np.ndarray | None):
        yield path, thing
    elif isinstance(thing, type | FunctionType) or id(thing) in seen:
        return
    else:
        seen.add(id(thing))
        for name, part in inside(thing):
            if name not in TRANSIENT:
                yield from everything(part, f"{path}.{name}", seen)


def inside(thing: Any) -> list[tuple[Any, Any]]:
    """What an object is made of, by name."""
    if isinstance(thing, torch.optim.Optimizer):
        return list(enumerate(thing.state.values()))
    if isinstance(thing, Mapping):
        return list(thing.items())
    if isinstance(thing, list | tuple | deque):
        return list(enumerate(thing))
    attributes = getattr(thing, "__dict__", {})
    if isinstance(thing, nn.Module):
        own = ("_parameters", "_buffers", "_modules")
        return [(n, x) for n, x in attributes.items() if n in own or not n.startswith("_")]
    return list(attributes.items())


def move_sharing(learner: Learner) -> bool:
    """Give every assignment that can be moved another value; whether there was one."""
    moved = False
    for networks in parts(learner).values():
        if not isinstance(networks, nn.Module) or any(
            p.requires_grad is False for p in networks.parameters()
        ):
            continue
        for name, index in list(networks.named_buffers(recurse=False)):
            if index.dtype == torch.int64 and index.unique().numel() > 1:
                setattr(networks, name, index.flip(1).clamp(max=index.shape[1] - 2))
                moved = True
    return moved


def reloaded(learner: Learner, other: Learner) -> None:
    file = io.BytesIO()
    torch.save(learner.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor | np.ndarray):
        return (
            type(left) is type(right) and bool((left == right).all()) and left.shape == right.shape
        )
    return left == right


@every_structure
def test_all_that_decides_what_a_learner_does_is_saved_and_loaded(variant: str) -> None:
    one, other = player(variant, [4, 5]), player(variant, [4, 5])
    one.learn(4)
    can_move = move_sharing(one.learner)
    assert can_move or VARIANTS[variant].learner in ("bdps", "cds", "rode", "ldsa", "roma")
    reloaded(one.learner, other.learner)
    left, right = (dict(everything(x.learner, "learner", set())) for x in (one, other))
    assert left.keys() == right.keys()
    assert not [path for path, x in left.items() if not equal(x, right[path])]
    episodes = one.collect()
    obs, actions = episodes.obs[:, :, :-1], episodes.actions
    before, after = (x.learner.probabilities(obs, actions) for x in (one, other))
    assert torch.equal(before, after)
    assert torch.equal(one.evaluate(copies=3), other.evaluate(copies=3))


def test_a_sharing_that_moves_moves_in_the_target_networks_when_they_are_copied_to() -> None:
    learner: Any = player("qmix-ns", [0, 1]).learner
    start = learner.target.assignment.clone()
    learner.nets.assignment = start.flip(1)
    assert torch.equal(learner.target.assignment, start)
    learner.update_targets(torch.tensor([False, True]))
    assert torch.equal(learner.target.assignment[0], start[0])
    assert torch.equal(learner.target.assignment[1], start[1].flip(0))


def test_two_assignments_set_to_one_tensor_are_loaded_apart() -> None:
    one, other = (player("mdps", [0, 1]).learner.base for _ in range(2))  # type: ignore[attr-defined]
    together = torch.zeros_like(other.net.back_of)
    share(other.net, front_of=together, back_of=together)
    share(one.net, front_of=torch.zeros_like(one.net.front_of))
    reloaded(one, other)
    assert torch.equal(other.net.front_of, one.net.front_of)
    assert torch.equal(other.net.back_of, one.net.back_of)


@pytest.mark.parametrize("variant", ["nps", "qmix-ns"])
def test_policies_saved_before_the_sharing_lay_with_the_networks_still_load(variant: str) -> None:
    one, other = player(variant, [4, 5]).learn(2).learner, player(variant, [4, 5]).learner
    state = one.state_dict()
    for name in ("net", "nets", "target"):
        if name in state:
            state[name] = {k: x for k, x in state[name].items() if x.dtype != torch.int64}
    if variant == "nps":
        state["sharing"] = one.sharing()
    other.load_state_dict(state)
    for block, shared in sharing(one).items():
        assert torch.equal(sharing(other)[block], shared)


def sharing(learner: Learner) -> dict[str, Tensor]:
    """Who goes through which set; of derived ones, how much any two share."""
    found = learner.sharing()
    return {name: x.overlap() if isinstance(x, Shares) else x for name, x in found.items()}


def by_pickle(learner: Learner) -> Learner:
    return pickle.loads(pickle.dumps(learner))


@pytest.mark.parametrize("way", [copy.deepcopy, by_pickle])
@every_learner
def test_a_copied_learner_learns_on_as_the_original_and_apart_from_it(
    variant: str, way: Callable[[Learner], Learner]
) -> None:
    one = player(variant, [4, 5]).learn(3)
    before = snapshot(one.learner)
    copied, rollouts = way(one.learner), [one.collect() for _ in range(2)]
    for rollout in rollouts:
        copied.learn(rollout)
    assert same(snapshot(one.learner), before) and not same(snapshot(copied), before)
    for rollout in rollouts:
        one.learner.learn(rollout)
    assert same(snapshot(one.learner), snapshot(copied))


@every_learner
def test_a_learner_that_took_over_another_s_state_learns_apart_from_it(variant: str) -> None:
    one, other = player(variant, [4, 5]).learn(3), player(variant, [4, 5])
    other.learner.load_state_dict(one.learner.state_dict())
    before = [of_run(one.learner, r) for r in (0, 1)]
    other.learn(2)
    for r, was in enumerate(before):
        now = of_run(one.learner, r)
        assert not [name for name, x in was.items() if not torch.equal(x, now[name])]


def of_run(learner: Learner, r: int) -> dict[str, Any]:
    """All that a learner keeps of one run."""
    runs = len(next(iter(sharing(learner).values())))
    found: dict[str, Any] = {}
    for name, x in parts(learner).items():
        if isinstance(x, nn.Module):
            found |= {f"{name}.{key}": part[r] for key, part in x.state_dict().items()}
    for number, optimiser in enumerate(optimisers(learner)):
        for place, flat in enumerate(optimiser._values_and_moments()):
            for part, rows in enumerate(optimiser._by_run(flat)):
                found[f"optimiser {number} {place} {part}"] = rows[r]
    for name, x in parts(learner).items():
        if name == "generators":
            found |= {f"generator {n}": g.get_state() for n, g in enumerate(x[r::runs])}
        if isinstance(x, Tensor) and len(x) == runs and name != "active":  # of the last update
            found[name] = x[r]
    policy = parts(learner)["policy"]
    found |= {
        f"acting {n}": g.get_state()
        for n, g in enumerate(getattr(policy, "generators", [])[r::runs])
    }
    for block, shared in sharing(learner).items():
        found[f"sharing {block}"] = shared[r]
    for kind, matrix in getattr(learner, "distances", {}).items():
        found[f"distance {kind}"] = matrix[r]
    if hasattr(learner, "exploration"):
        found["steps"] = learner.exploration.steps[r]  # type: ignore[attr-defined]
        found["since"] = learner.exploration.since[r]  # type: ignore[attr-defined]
    return {name: x.clone() for name, x in found.items()}


@every_structure
def test_a_run_that_has_ended_stays_what_it_would_be_alone_whatever_the_others_do(
    variant: str,
) -> None:
    alone, packed = player(variant, [3]), player(variant, [2, 3])
    updates = 3
    alone.learn(updates), packed.learn(updates)
    by_itself, ended = of_run(alone.learner, 0), of_run(packed.learner, 1)
    assert by_itself.keys() == ended.keys()
    assert not [name for name, x in by_itself.items() if not torch.equal(x, ended[name])]
    other = of_run(packed.learner, 0)
    for _ in range(6):
        packed.learner.learn(packed.collect(torch.tensor([True, False])))
    still, moved = of_run(packed.learner, 1), of_run(packed.learner, 0)
    assert not [name for name, x in ended.items() if not torch.equal(x, still[name])]
    moving = [name for name, x in other.items() if not torch.equal(x, moved[name])]
    assert any(name.startswith("optimiser") for name in moving)


def rows(state: Any, r: int, runs: int, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """What a file of policies holds of one run's networks."""
    for name, x in state.items():
        if isinstance(x, dict):
            yield from rows(x, r, runs, f"{path}.{name}")
        elif isinstance(x, Tensor) and x.dim() and len(x) == runs:
            yield f"{path}.{name}", x[r]


def test_a_run_leaves_the_same_curve_and_policies_alone_and_in_a_pack(tmp_path: Path) -> None:
    seeds = [0, 1, 2]
    pack = recipe("qmix", seeds)
    train.run(lay(tmp_path / "pack", pack))
    curve = record.read(tmp_path / "pack")[0]
    together = torch.load(tmp_path / "pack/policy.pt", weights_only=True)["learner"]
    updates = set()
    for r, seed in enumerate(seeds):
        folder = tmp_path / str(seed)
        train.run(lay(folder, recipe("qmix", [seed])))
        alone = torch.load(folder / "policy.pt", weights_only=True)["learner"]
        mine, theirs = dict(rows(alone, 0, 1)), dict(rows(together, r, 3))
        assert {n for n in mine if n in theirs} >= {".nets.assignment", ".target.mixer.v.weight"}
        assert not [n for n, x in mine.items() if n in theirs and not torch.equal(x, theirs[n])]
        own = curve[curve["seed"] == seed].reset_index(drop=True)
        assert own.equals(record.read(folder)[0])
        assert all(map(torch.equal, alone["generators"], together["generators"][r::3]))
        updates.add(own["updates"].to_numpy().max())
    assert len(updates) > 1, "no run ended before another"
