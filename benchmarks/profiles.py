"""Where the time of an update goes: the CPU time of what compiled code and the library do for it.

Self time is a function's own, without those of the list that it calls. What is listed is looked up
by its name, and a test looks up every name of every published page: a profile cannot name what is
gone.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any

import torch

from benchmarks import episodes
from benchmarks.training import training
from partage import learners
from partage.learners.qmix import QMIX

PARTS = {
    "partage.nn.walk.walk_forward": "the GRUs through time",
    "partage.nn.walk.walk_backward": "and back",
    "partage.nn.dense.forward_all": "all other layers of agents and critics",
    "partage.nn.dense.backward_all": "and back",
    "partage.nn.mixer.mix_rows": "the mixer with its hypernetworks",
    "partage.nn.mixer.mix_gradients": "and back",
    "partage.nn.optimiser.Optimiser.step": "torch's gradients, clipping and step",
    "partage.learners._off_policy.OffPolicyLearner.td_loss": "choosing, targets and loss",
    "partage.rl.replay.Replay.sample": "drawing a batch",
    "partage.rl.replay.Replay.add": "storing episodes",
    "partage.runs.train.collect_episodes": "acting, the simulator included",
    "partage.runs.train.collect_segment": "acting, the simulator included",
}
REST = "everything else"
Found = list[tuple[str, float, int]]  # name, % of CPU time, calls each time


class Clock:
    """CPU seconds and calls of each part, without those parts that it calls."""

    def __init__(self) -> None:
        self.seconds, self.calls = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0)
        self.within = [0.0]  # seconds of parts inside of each that is running

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with its time taken."""

        @functools.wraps(function)
        def run(*args: Any, **settings: Any) -> Any:
            self.within.append(0.0)
            start = time.process_time()
            try:
                return function(*args, **settings)
            finally:
                seconds = time.process_time() - start
                self.seconds[name] += seconds - self.within.pop()
                self.calls[name] += 1
                self.within[-1] += seconds

        return run


@contextmanager
def clock() -> Iterator[Clock]:
    """Take the time of all parts within."""
    made, originals = Clock(), {name: resolve_name(name) for name in PARTS}
    for name, function in originals.items():
        owner, attribute = name.rsplit(".", 1)
        setattr(resolve_name(owner), attribute, made.timed(name, function))
    try:
        yield made
    finally:
        for name, function in originals.items():
            owner, attribute = name.rsplit(".", 1)
            setattr(resolve_name(owner), attribute, function)


def shares(work: Callable[[], Any], times: int) -> Found:
    """The parts of `work`, the dearest first, after a warm-up; then the rest."""
    work()
    with clock() as made:
        start = time.process_time()
        for _ in range(times):
            work()
        whole = time.process_time() - start
    found = [
        (name, 100 * seconds / whole, made.calls[name] // times)
        for name, seconds in made.seconds.items()
        if made.calls[name]
    ]
    found.sort(key=lambda part: -part[1])
    return [*found, (REST, 100 - sum(share for _, share, _ in found), 1)]


def qmix_update(size: str, runs: int, quick: bool) -> Found:
    """One update on full-length episodes of these sizes, shared networks with an id."""
    spec = episodes.SIZES[size]._replace(horizon=3) if quick else episodes.SIZES[size]
    made = learners.make("qmix", spec, {"sharing": "id"}, list(range(runs)))
    assert isinstance(made, QMIX)
    batch = episodes.batch(spec, runs, 2 if quick else 32)
    active = torch.ones(runs, dtype=torch.bool)
    return shares(lambda: made.update(batch, active), 1 if quick else 20)


def advances(algorithm: str, task: str, runs: int, quick: bool) -> Found:
    """What comes between two updates, and the update, of training as it is."""
    made = training(algorithm, task, runs)
    for _ in range(0 if quick or made.learner.segment else 32):
        made.advance()
    return shares(made.advance, 1 if quick else 20)


def markdown(title: str, found: Found) -> list[str]:
    lines = [
        f"### {title}",
        "",
        "| part | what | self CPU time, % | calls |",
        "|---|---|---:|---:|",
    ]
    for name, share, calls in found:
        shown = f"`{name}`" if name in PARTS else name
        lines.append(f"| {shown} | {PARTS.get(name, '')} | {share:.1f} | {calls:,} |")
    return [*lines, ""]


def section(quick: bool = False) -> str:
    """All profiles as markdown."""
    lines = ["## Where the time goes", ""]
    for size, runs in (("LBF", 1), ("LBF", 5), ("5m_vs_6m", 5)):
        title = f"One QMIX update, {size} sizes, R={runs}, sharing id"
        lines += markdown(title, qmix_update(size, runs, quick))
    for algorithm, task, runs in (
        ("qmix", "lbf/15x15-4p-5f-v2", 1),
        ("qmix", "smac/5m_vs_6m", 5),
        ("bdps", "lbf/15x15-4p-5f-v2", 5),
        ("nps", "mpe/15a_3c", 5),
    ):
        title = f"Training {algorithm} on {task} from update to update, R={runs}"
        lines += markdown(title, advances(algorithm, task, runs, quick))
    return "\n".join(lines)
