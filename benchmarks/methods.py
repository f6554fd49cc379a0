"""What an update of each method costs, in updates of its base with full sharing, by CPU time.

Methods on QMIX learn from one batch of full-length episodes of LBF's sizes, those on PPO and A2C
from one segment of 15 agents on spread; base and methods take turns in one run. What is measured
now and then is not in it. ``python -m benchmarks.methods`` prints these rows alone.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks import episodes
from benchmarks.report import number, table
from benchmarks.turns import take_turns
from partage import envs, learners
from partage.config import plan
from partage.config.custom import custom_recipe, read_settings
from partage.rl.rollout import collect_segment
from partage.runs.process import prepare

# by base: the methods, and the most of its updates that one may cost (None: a control)
BASES: Mapping[str, Mapping[str, float | None]] = {
    "qmix": {"gradps": 1.6, "ldsa": 2.5, "roma": 3.0},
    "qmix-1r3": {"qmix-ns-1r3": None, "kaleidoscope": 1.5, "snp-ps": 1.5, "prism": 1.5},
    "ippo": {"ippo-ns": None, "kaleidoscope-ppo": 1.5, "hypermarl": 1.5, "hypermarl-linear": 1.5},
    "mappo": {"hypermarl-mappo": 1.5, "lorasa": 1.5},
    "fps": {
        **{"nps": None, "hetdps": 1.5, "adaps": 1.5},
        # controls by name and settings, as runs of such settings are named
        **{"fps-bias+sets=mask": 1.5, "fps-bias+sets=hypernetwork": 1.5},
    },
}
REPEATS = 11


def on_episodes(algorithm: str, runs: int, quick: bool) -> Callable[[], float]:
    """Updates of a learner on QMIX's chassis."""
    spec = episodes.LBF._replace(horizon=12) if quick else episodes.LBF
    made: Any = made_of(algorithm, "lbf/15x15-4p-5f-v2", spec, runs)
    batch = episodes.batch(spec, runs, 2 if quick else 32)
    active = torch.ones(runs, dtype=torch.bool)
    return lambda: len(made.update(batch, active)["td_loss"])


def on_segments(algorithm: str, runs: int, quick: bool) -> Callable[[], float]:
    """Updates of a learner of segments, all epochs of them."""
    task, seeds = "mpe/15a_3c", list(range(runs))
    made: Any = made_of(algorithm, task, envs.make(task, [0], 1).spec, runs)
    env = envs.make(task, seeds, made.copies)
    segment = 4 if quick else made.segment
    memory = made.policy.initial(made.copies, True)
    rollout = collect_segment(env, made.policy, env.reset(), memory, segment)[0]
    made.learn(rollout)  # at once, if agents are clustered before anything is learned
    several = 1 if quick or segment * made.copies > 100 else 40  # A2C's take milliseconds
    return lambda: sum(len(made.learn(rollout)["entropy"]) for _ in range(several))


def made_of(algorithm: str, task: str, spec: Any, runs: int) -> Any:
    """The learner as it is on this task at the papers' scale."""
    algorithm, *changes = algorithm.split("+")
    request = plan.Request(scale="paper")
    recipe = custom_recipe(plan.load(), algorithm, task, request, settings=read_settings(changes))
    soon = {name: 1 for name in ("pretraining", "data") if "pretraining" in recipe.settings}
    return learners.make(recipe.learner, spec, recipe.settings | soon, list(range(runs)))


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """All rows; `quick` only shows that every line runs (its numbers mean nothing)."""
    prepare("cpu")
    rows = []
    for base, methods in BASES.items():
        updating = on_episodes if base.startswith("qmix") else on_segments
        for runs in (1, 5):
            subjects = {name: updating(name, runs, quick) for name in (base, *methods)}
            speeds = take_turns(subjects, 1 if quick else REPEATS)
            for name, most in methods.items():
                ratios = [a / b for a, b in zip(speeds[base], speeds[name], strict=True)]
                rows.append(row(f"cost of an update, {name}, R={runs}", base, ratios, most))
    return rows


def row(what: str, base: str, ratios: list[float], most: float | None) -> dict[str, Any]:
    """One row of the table."""
    note = f"median of {len(ratios)}, {number(min(ratios))} to {number(max(ratios))}"
    value = {"value": statistics.median(ratios), "unit": f"{base} updates"}
    return {"what": what, **value, "target": None, "most": most, "note": note}


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.methods", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run every line once on toy sizes")
    print(table(measure(parser.parse_args().quick)))
