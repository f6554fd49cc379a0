"""Training from end to end, by CPU time: acting, the simulator, replay, update, what is counted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from benchmarks.report import row
from benchmarks.turns import ratio, take_turns
from partage.config import plan
from partage.learners import qmix
from partage.runs.train import Training

UNIT = "env steps / CPU-s"
ANOTHER_DAY = "measured another day"
EPYMARL = f"294 (EPyMARL; 631 with 8 environments and an update per 8 episodes), {ANOTHER_DAY}"
ACTOR_CRITICS = f"1,100 to 1,500 (SePS), 460 (MADPS): A2C, one seed, on LBF, {ANOTHER_DAY}"
LBF, SMAC, MPE = "lbf/15x15-4p-5f-v2", "smac/5m_vs_6m", "mpe/15a_3c"


class Case(NamedTuple):
    """Training that is timed; `targets` is None where the issue names none."""

    algorithm: str
    task: str
    targets: dict[int, float | None]  # by the number of runs side by side
    peer: str = ""


CASES = [
    Case("qmix", LBF, {1: 1_700, 5: 2_000}, EPYMARL),
    Case("qmix-ns", LBF, {1: None, 5: None}),
    Case("bdps", LBF, {1: None, 5: 900}),
    Case("bdps-individual", LBF, {1: None, 5: None}),
    Case("cds", LBF, {1: None, 5: None}),
    Case("eoi", LBF, {1: None, 5: None}),
    Case("rode", LBF, {1: None, 5: None}),
    Case("qmix", SMAC, {1: None, 5: 800}),
    Case("bdps", SMAC, {5: 330}),
    Case("fps", MPE, {1: None, 5: 30_000}, ACTOR_CRITICS),
    Case("fps-id", MPE, {5: None}, ACTOR_CRITICS),
    Case("nps", MPE, {1: None, 5: 22_000}, ACTOR_CRITICS),
    Case("seps", MPE, {1: None, 5: None}, ACTOR_CRITICS),
    Case("mdps", MPE, {1: None, 5: 22_000}, ACTOR_CRITICS),
]


def training(algorithm: str, task: str, runs: int) -> Training:
    """Paper-scale training of this many seeds, without evaluations."""
    request = plan.Request(scale="paper", seeds_per_run=runs)
    recipe = plan.load().recipes_of(algorithm, task, request)[0]
    return Training(replace(recipe, seeds=list(range(runs)), test_every=0, steps=10**9))


def steps(made: Training, advances: int) -> Callable[[], float]:
    """Train for so many updates; the environment steps they took, summed over the runs."""

    def advance() -> float:
        before = int(made.metrics.env_steps.sum())
        for _ in range(advances):
            made.advance()
        return int(made.metrics.env_steps.sum()) - before

    return advance


def subject(case: Case, runs: int, quick: bool) -> Callable[[], float]:
    """Training that learns from now on: a replay holds a batch."""
    made = training(case.algorithm, case.task, runs)
    if made.learner.segment:
        return steps(made, 2 if quick else 40)
    for _ in range(0 if quick else qmix.Settings.batch):
        made.advance()
    return steps(made, 1 if quick else 6)


def end_to_end(case: Case, quick: bool) -> list[dict[str, Any]]:
    """A learner with every number of runs, in turns."""
    subjects = {f"R={runs}": subject(case, runs, quick) for runs in case.targets}
    speeds = take_turns(subjects, 1 if quick else 5)
    rows = []
    for runs, target in case.targets.items():
        name, extra = f"R={runs}", {}
        if runs > 1 and "R=1" in speeds:
            extra = {"ratio": ratio(speeds[name], speeds["R=1"]), "ratio_to": "R=1"}
        what = f"training {case.algorithm}, {case.task}, {name}" + ", summed" * (runs > 1)
        rows.append(row(what, speeds[name], UNIT, target, peer=case.peer, **extra))
    return rows


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """All rows; `quick` only shows that every line runs (its numbers mean nothing)."""
    return [entry for case in CASES for entry in end_to_end(case, quick)]
