"""What the tests of learners share: every variant of algorithms.toml, and playing with one."""

import functools
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from partage import envs, learners
from partage.config import plan
from partage.config.schema import at_scale
from partage.learners import Learner
from partage.nn.optimiser import Optimiser
from partage.runs import learner_contract
from partage.runs.train import prepare
from partage.sims import contract

SHEETS = plan.load()  # once: it reads every sheet and every learner
VARIANTS = SHEETS.variants
# What makes learners quick on small tasks, if they have the setting: those of whole episodes, and
# those of segments. What else one needs it says itself, in `QUICK` of its own file.
EPISODES = {"epsilon_anneal": 2000, "copies": 8, "target_every": 80}
SEGMENTS = {"lr": 3e-3}


@pytest.fixture(autouse=True)
def as_in_training() -> Iterator[None]:
    """One thread and no denormals, as the trainer runs."""
    threads = torch.get_num_threads()
    prepare("cpu")
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def settings(variant: str, **more: Any) -> dict[str, Any]:
    found = VARIANTS[variant]
    own = {name: at_scale(value, "smoke", variant) for name, value in found.settings.items()}
    return {**own, **quick(found.learner), **more}


def quick(learner: str) -> dict[str, Any]:
    """What makes a learner quick."""
    fields = SHEETS.learners[learner]
    family = EPISODES if "epsilon_anneal" in fields else SEGMENTS
    module = importlib.import_module(f"partage.learners.{learner}")
    own = getattr(module, "QUICK", {})
    return {name: x for name, x in family.items() if name in fields} | own


# Of the same structure as variants that meet the contract, which each costs seconds: controls of
# those, and what their own tests hold to the same.
ALIKE = {
    *("kaleidoscope-type", "kaleidoscope-one", "kaleidoscope-moved", "kaleidoscope-kept"),
    *("qmix-1r3", "qmix-ns-1r3"),
    *("gradps-relative", "gradps-measured", "hetdps-threshold"),
    *("snp-weights", "snp-one", "hypermarl-linear", "hypermarl-scaled", "hypermarl-mappo"),
}


def differing() -> list[str]:
    """The variants that differ here: others are as large as some task of theirs wants them."""
    found = {
        (VARIANTS[name].learner, repr(sorted(settings(name).items()))): name
        for name in reversed(VARIANTS)
    }
    return [name for name in VARIANTS if name in found.values() and name not in ALIKE]


# Variants whose state, draws or banks are of another kind than those of their learner's first.
OTHER_STRUCTURES = (
    "nps",
    "qmix-ns",
    "fps-film",
    "qmix-random-masks",
    "bdps-individual",
    "bdps-gaussian",
    "bdps-categorical",
    "rode-learned",
    "ippo-ns",
    "mappo-rnn",
)


def structures() -> list[str]:
    """The first variant of each learner, and those whose structure is another one.

    What packs, checkpoints and copies have to keep hangs on it; numbers do not change it.
    """
    variants = differing()
    first = {VARIANTS[name].learner: name for name in reversed(variants)}
    return [name for name in variants if name in (*first.values(), *OTHER_STRUCTURES)]


def make(variant: str, task: contract.Env, seeds: list[int], **more: Any) -> Learner:
    return learners.make(VARIANTS[variant].learner, task.spec, settings(variant, **more), seeds)


def known(variant: str) -> set[str]:
    """The settings that the variant's learner has."""
    return set(SHEETS.learners[VARIANTS[variant].learner])


class Player(learner_contract.Player):
    """A variant's learner at a task: collects and learns, as the trainer does."""

    def __init__(self, variant: str, task: str, seeds: list[int], **more: Any) -> None:
        probe = envs.make(task, seeds, 1)
        super().__init__(make(variant, probe, seeds, **more), task, seeds)


def parts(one: Learner) -> dict[str, Any]:
    """The attributes of a learner, and of the one it contains."""
    return vars(one) | (vars(one.base) if hasattr(one, "base") else {})  # type: ignore[attr-defined]


def optimisers(one: Learner) -> list[Optimiser]:
    return [x for x in parts(one).values() if isinstance(x, Optimiser)]


def parameters(one: Learner) -> dict[str, Tensor]:
    """Every parameter of every network, trained or not, by name."""
    modules = {name: x for name, x in parts(one).items() if isinstance(x, nn.Module)}
    return {
        f"{name}.{key}": p
        for name, module in modules.items()
        for key, p in module.named_parameters()
    }


def snapshot(one: Learner) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in parameters(one).items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    assert left.keys() == right.keys() and left
    return all(torch.equal(x, right[name]) for name, x in left.items())


@functools.cache
def lengthy(variant: str) -> str:
    """A task whose episodes differ in length, or for learners of segments one whose clock cuts
    them.
    """
    probe = envs.make("roll_call/2x3-5", [0], 1)
    return "mpe/15a_3c" if make(variant, probe, [0]).segment else "lbf/5x5-4p-1f-v3"
