"""Speed of the learners: QMIX updates beside plain PyTorch, A2C and QMIX training end to end, by
CPU time.

Speeds are per CPU-second of this process, one thread (`partage.runs.train.prepare`). Subjects that
are compared take turns in one run; a value is the median of the repeats, and the ratio is the
median of the ratios within a turn. The peers' numbers were measured by us on another day on a
machine of this kind (two shared cores): compare them loosely.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from benchmarks import episodes
from benchmarks.report import number
from benchmarks.yardstick import Plain
from partage import learners
from partage.config import plan
from partage.learners import qmix
from partage.nn.networks import Sharing
from partage.runs.train import Training, prepare

Speeds = dict[str, list[float]]
ANOTHER_DAY = "measured another day"


class Case(NamedTuple):
    size: str
    target: float
    peer: str
    packs: Sequence[int]
    repeats: int


CASES = [
    Case("LBF", 35, f"26.8 (JaxMARL; EPyMARL 13.9), {ANOTHER_DAY}", (1, 5), 21),
    Case("5m_vs_6m", 18, f"10.8 (JaxMARL; EPyMARL 7.7), {ANOTHER_DAY}", (1, 5), 11),
    Case("27m_vs_30m", 1.1, f"0.69 (PyMARL2; EPyMARL 0.59), {ANOTHER_DAY}", (1,), 5),
]


LIMITS: Mapping[str, float | None] = {
    "bdps": 3.5,
    "bdps-individual": 3.5,
    "cds": None,  # as many steps of its predictors as published
    "eoi": None,  # and of its classifier
    "rode": 2.5,
}  # most QMIX updates one may cost


def take_turns(
    subjects: Mapping[str, Callable[[], float]], repeats: int, warm_up: int = 1
) -> Speeds:
    """Speed of each subject in each turn; a subject does its work and returns how much that was."""
    speeds: Speeds = {name: [] for name in subjects}
    for turn in range(-warm_up, repeats):
        for name, subject in subjects.items():
            start = time.process_time()
            amount = subject()
            if turn >= 0:
                speeds[name].append(amount / (time.process_time() - start))
    return speeds


def row(
    what: str, speeds: Sequence[float], unit: str, target: float | None = None, **extra: Any
) -> dict[str, Any]:
    """A row of the table (see `environments.measure`); `extra` are its columns ratio and peer."""
    note = f"median of {len(speeds)}, {number(min(speeds))} to {number(max(speeds))}"
    return {
        "what": what,
        "value": statistics.median(speeds),
        "unit": unit,
        "target": target,
        "note": note,
        **extra,
    }


def updates(case: Case, sharing: Sharing, quick: bool) -> list[dict[str, Any]]:
    """QMIX updates of each pack size, and of plain PyTorch, on batches of full-length episodes."""
    spec, size = episodes.SIZES[case.size], 32
    if quick:
        spec, size = spec._replace(horizon=3), 2
    settings = qmix.Settings(sharing=sharing)

    def packed(runs: int) -> Callable[[], float]:
        made = learners.make("qmix", spec, {"sharing": sharing}, list(range(runs)))
        assert isinstance(made, qmix.QMIX)
        batch, active = episodes.batch(spec, runs, size), torch.ones(runs, dtype=torch.bool)
        return lambda: len(made.update(batch, active)["td_loss"])

    plain, alone = Plain(spec, settings), episodes.batch(spec, 1, size)
    subjects: dict[str, Callable[[], float]] = {f"R={runs}": packed(runs) for runs in case.packs}
    subjects["plain"] = lambda: plain.update(alone).numel()
    speeds = take_turns(subjects, 1 if quick else case.repeats)
    plain_speeds = speeds.pop("plain")
    what, unit = f"QMIX learner, {case.size} sizes, sharing {sharing}", "updates / CPU-s"
    rows = []
    for name, ours in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(ours, plain_speeds, strict=True))
        rows.append(row(f"{what}, {name}", ours, unit, case.target, ratio=ratio, peer=case.peer))
    return [*rows, row(f"{what}, plain PyTorch", plain_speeds, unit)]


def costs(quick: bool) -> list[dict[str, Any]]:
    """What an update of each learner on QMIX's chassis costs, in QMIX updates, at LBF sizes."""
    spec, size = (episodes.LBF, 32) if not quick else (episodes.LBF._replace(horizon=12), 2)
    rows, task = [], "lbf/15x15-4p-5f-v2"

    def updating(algorithm: str, runs: int) -> Callable[[], float]:
        recipe = plan.load().recipes_of(algorithm, task, plan.Request(scale="paper"))[0]
        made: Any = learners.make(recipe.learner, spec, recipe.settings, list(range(runs)))
        batch, active = episodes.batch(spec, runs, size), torch.ones(runs, dtype=torch.bool)
        shape, generator = batch["actions"].shape, torch.Generator().manual_seed(0)
        batch |= {
            name: torch.randint(2, shape, generator=generator) for name in ("roles", "groups")
        }
        if recipe.learner == "rode":
            made.clustered[:] = True  # as it is from 50,000 steps on
        return lambda: len(made.update(batch, active)["td_loss"])

    for runs in (1, 5):
        subjects = {name: updating(name, runs) for name in ("qmix", *LIMITS)}
        speeds = take_turns(subjects, 1 if quick else 11)
        for name, most in LIMITS.items():
            ratios = [a / b for a, b in zip(speeds["qmix"], speeds[name], strict=True)]
            note = f"median of {len(ratios)}, {number(min(ratios))} to {number(max(ratios))}"
            what = f"cost of an update, LBF sizes, {name}, R={runs}"
            value = {
                "value": statistics.median(ratios),
                "unit": "QMIX updates",
                "target": None,
                "most": most,
            }
            rows.append({"what": what, **value, "note": note})
    return rows


def training(algorithm: str, task: str, runs: int) -> Training:
    """Paper-scale training of this many seeds, without evaluations."""
    recipe = plan.load().recipes_of(
        algorithm, task, plan.Request(scale="paper", seeds_per_run=runs)
    )[0]
    return Training(replace(recipe, seeds=list(range(runs)), test_every=0, steps=10**9))


def steps(made: Training, advances: int) -> Callable[[], float]:
    """Train for so many updates; the environment steps they took, summed over the runs."""

    def advance() -> float:
        before = int(made.metrics.env_steps.sum())
        for _ in range(advances):
            made.advance()
        return int(made.metrics.env_steps.sum()) - before

    return advance


def actor_critics(quick: bool) -> list[dict[str, Any]]:
    """A2C on 15a_3c, five seeds in one process: collecting, learning and counting."""
    subjects = {
        name: steps(training(name, "mpe/15a_3c", 5), 2 if quick else 40)
        for name in ("fps", "fps-id", "nps", "seps", "mdps")
    }
    speeds = take_turns(subjects, 1 if quick else 9)
    peer = f"1,100 to 1,500 (SePS), 460 (MADPS): A2C, one seed, on LBF, {ANOTHER_DAY}"
    unit = "env steps / CPU-s"
    return [
        row(f"A2C training, mpe/15a_3c, {name}, R=5, summed", x, unit, 12_000, peer=peer)
        for name, x in speeds.items()
    ]


def end_to_end(quick: bool) -> list[dict[str, Any]]:
    """QMIX on LBF: an episode of each run, then an update, once the replay holds a batch."""
    subjects = {}
    for runs in (1, 5):
        made = training("qmix", "lbf/15x15-4p-5f-v2", runs)
        for _ in range(0 if quick else qmix.Settings.batch):
            made.advance()
        subjects[runs] = steps(made, 1 if quick else 12)
    named = {f"R={runs}": subject for runs, subject in subjects.items()}
    speeds = take_turns(named, 1 if quick else 7)
    what, unit = "QMIX training end to end, lbf/15x15-4p-5f-v2", "env steps / CPU-s"
    peer = f"294 (EPyMARL; 631 with 8 environments and an update per 8 episodes), {ANOTHER_DAY}"
    ratio = statistics.median(a / b for a, b in zip(speeds["R=5"], speeds["R=1"], strict=True))
    each = [speed / 5 for speed in speeds["R=5"]]
    return [
        row(f"{what}, R=1", speeds["R=1"], unit, 1_200, peer=peer),
        row(
            f"{what}, R=5, summed",
            speeds["R=5"],
            unit,
            1_200,
            peer=peer,
            ratio=ratio,
            ratio_to="R=1",
        ),
        row(f"{what}, R=5, per run", each, unit),
    ]


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """All rows; `quick` only shows that every line runs (its numbers mean nothing)."""
    prepare("cpu")
    rows = [
        entry
        for case in CASES
        for sharing in ("id", "none")
        for entry in updates(case, sharing, quick)
    ]
    return [
        *rows,
        *costs(quick),
        *actor_critics(quick),
        *end_to_end(quick),
        *episodes.memory(quick),
    ]
