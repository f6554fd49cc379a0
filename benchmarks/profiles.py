"""Where one update goes: the operations that use most CPU time, by `torch.profiler`.

Self time is an operation's own, without those it calls. A hand-written backward and its pointwise
loops (Numba) count under the name of their `autograd.Function`. The profiler's own cost makes many
small operations look dearer.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks import episodes
from benchmarks.learners import training
from partage import learners
from partage.learners.qmix import QMIX
from partage.rl import rollout

TOP = 10
OUTSIDE = "(Python) "


def shares(work: Callable[[], Any], times: int) -> list[tuple[str, float, int]]:
    """Return (operation, % of CPU time, calls per time), the dearest first, after a warm-up."""
    work()
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as made:
        for _ in range(times):
            work()
    events = made.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)
    events = sorted(events, key=lambda event: -event.self_cpu_time_total)
    return [
        (event.key, 100 * event.self_cpu_time_total / whole, event.count // times)
        for event in events
    ]


def qmix_update(quick: bool) -> list[tuple[str, float, int]]:
    """One update at LBF sizes, one run, shared networks with an id."""
    spec = episodes.LBF._replace(horizon=3) if quick else episodes.LBF
    made = learners.make("qmix", spec, {"sharing": "id"}, [0])
    assert isinstance(made, QMIX)
    batch, active = episodes.batch(spec, 1, 2 if quick else 32), torch.ones(1, dtype=torch.bool)

    def work() -> None:
        with record_function(f"{OUTSIDE}update"):
            made.update(batch, active)

    return shares(work, 1 if quick else 20)


def a2c_update(quick: bool) -> list[tuple[str, float, int]]:
    """One NPS update on 15a_3c, five runs: five steps in eight copies of each, then learning."""
    made = training("nps", "mpe/15a_3c", 5)
    step, memory = made.env.reset(), None

    def work() -> None:
        nonlocal step, memory
        with record_function(f"{OUTSIDE}collect, the simulator included"):
            collected, step, memory = rollout.collect_segment(
                made.env, made.learner.policy, step, memory, 5
            )
        with record_function(f"{OUTSIDE}learn"):
            made.learner.learn(collected)

    return shares(work, 1 if quick else 60)


def markdown(title: str, found: list[tuple[str, float, int]]) -> list[str]:
    lines = [f"### {title}", "", "| operation | self CPU time, % | calls |", "|---|---:|---:|"]
    lines += [f"| `{name}` | {share:.1f} | {calls:,} |" for name, share, calls in found[:TOP]]
    rest = found[TOP:]
    return [*lines, f"| {len(rest)} others | {sum(share for _, share, _ in rest):.1f} | |", ""]


def section(quick: bool = False) -> str:
    """Both profiles as markdown."""
    return "\n".join(
        [
            "## Where the time goes",
            "",
            *markdown("One QMIX update, LBF sizes, R=1, sharing id", qmix_update(quick)),
            *markdown(
                "One NPS A2C update, mpe/15a_3c, R=5, collecting included", a2c_update(quick)
            ),
        ]
    )
