"""Speed of the learners' updates: QMIX's beside plain PyTorch, and in QMIX updates all others, by
CPU time.

Speeds are per CPU-second of this process, one thread (`partage.runs.train.prepare`). Subjects that
are compared take turns in one run; a value is the median of the repeats, and the ratio is the
median of the ratios within a turn. The peers' numbers were measured by us on another day on a
machine of this kind (two shared cores): compare them loosely.
"""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import episodes, training
from benchmarks.report import number, row
from benchmarks.training import ANOTHER_DAY
from benchmarks.turns import ratio, take_turns
from benchmarks.yardstick import Plain
from partage import learners
from partage.config import plan
from partage.learners import qmix
from partage.nn.networks import Sharing
from partage.runs.process import prepare
from partage.sims.contract import Spec


class Case(NamedTuple):
    size: str
    sharing: Sharing
    targets: dict[int, float]  # updates per CPU-second, by the number of runs side by side
    peer: str
    repeats: int


LBF_PEER = f"26.8 (JaxMARL; EPyMARL 13.9), {ANOTHER_DAY}"
SMALL_MAP_PEER = f"10.8 (JaxMARL; EPyMARL 7.7), {ANOTHER_DAY}"
LARGE_MAP_PEER = f"0.69 (PyMARL2; EPyMARL 0.59), {ANOTHER_DAY}"
CASES = [
    Case("LBF", "id", {1: 42, 5: 46}, LBF_PEER, 21),
    Case("LBF", "none", {1: 35, 5: 35}, LBF_PEER, 21),
    Case("5m_vs_6m", "id", {1: 18, 5: 25}, SMALL_MAP_PEER, 11),
    Case("5m_vs_6m", "none", {1: 18, 5: 18}, SMALL_MAP_PEER, 11),
    Case("27m_vs_30m", "id", {1: 1.1}, LARGE_MAP_PEER, 5),
    Case("27m_vs_30m", "none", {1: 1.1}, LARGE_MAP_PEER, 5),
]


LIMITS: Mapping[str, float | None] = {
    "bdps": 2.2,
    "bdps-individual": 2.2,
    "cds": None,  # as many steps of its predictors as published
    "eoi": None,  # and of its classifier
    "rode": 2.5,
}  # most QMIX updates one may cost


def updates(case: Case, quick: bool) -> list[dict[str, Any]]:
    """QMIX updates of each pack size, and of plain PyTorch, on batches of full-length episodes."""
    spec, size = episodes.SIZES[case.size], 32
    if quick:
        spec, size = spec._replace(horizon=3), 2
    settings = qmix.Settings(sharing=case.sharing)

    def packed(runs: int) -> Callable[[], float]:
        made = learners.make("qmix", spec, {"sharing": case.sharing}, list(range(runs)))
        assert isinstance(made, qmix.QMIX)
        batch, active = episodes.batch(spec, runs, size), torch.ones(runs, dtype=torch.bool)
        return lambda: len(made.update(batch, active)["td_loss"])

    plain, alone = Plain(spec, settings), episodes.batch(spec, 1, size)
    subjects: dict[str, Callable[[], float]] = {f"R={n}": packed(n) for n in case.targets}
    subjects["plain"] = lambda: plain.update(alone).numel()
    speeds = take_turns(subjects, 1 if quick else case.repeats)
    plain_speeds = speeds.pop("plain")
    what, unit = f"QMIX learner, {case.size} sizes, sharing {case.sharing}", "updates / CPU-s"
    rows = []
    for runs, target in case.targets.items():
        name, ours = f"R={runs}", speeds[f"R={runs}"]
        beside = ratio(ours, plain_speeds)
        rows.append(row(f"{what}, {name}", ours, unit, target, ratio=beside, peer=case.peer))
    return [*rows, row(f"{what}, plain PyTorch", plain_speeds, unit)]


def chosen(spec: Spec, runs: int, size: int, period: int) -> Tensor:
    """Roles or groups of every agent ``[R, B, T, N]``, drawn anew each period."""
    generator, periods = torch.Generator().manual_seed(0), -(-spec.horizon // period)
    shape = runs, size, periods, spec.n_agents
    drawn = torch.randint(2, shape, generator=generator).repeat_interleave(period, 2)
    return drawn[:, :, : spec.horizon]


def costs(quick: bool) -> list[dict[str, Any]]:
    """What an update of each learner on QMIX's chassis costs, in QMIX updates, at LBF sizes."""
    spec, size = (episodes.LBF, 32) if not quick else (episodes.LBF._replace(horizon=12), 2)
    rows, task = [], "lbf/15x15-4p-5f-v2"

    def updating(algorithm: str, runs: int) -> Callable[[], float]:
        recipe = plan.load().recipes_of(algorithm, task, plan.Request(scale="paper"))[0]
        made: Any = learners.make(recipe.learner, spec, recipe.settings, list(range(runs)))
        batch, active = episodes.batch(spec, runs, size), torch.ones(runs, dtype=torch.bool)
        period = int(recipe.settings.get("period", 5))
        batch |= {name: chosen(spec, runs, size, period) for name in ("roles", "groups")}
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


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """All rows; `quick` only shows that every line runs (its numbers mean nothing)."""
    prepare("cpu")
    rows = [entry for case in CASES for entry in updates(case, quick)]
    return [*rows, *costs(quick), *training.measure(quick), *episodes.memory(quick)]
