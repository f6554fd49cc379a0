"""What a cell and a task cost: a short training, and some episodes of random play.

Each is measured in a process of its own (``python -m partage.runs.measuring``), whose memory holds
nothing else: it reads a recipe and what is wanted of it as JSON, and writes what it found as JSON.
"""

import dataclasses
import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Int64
from torch import Tensor

from partage import envs
from partage.config import recipe as recipes
from partage.config.recipe import Recipe
from partage.config.types import Scalar
from partage.rl.replay import Replay
from partage.rl.rollout import Choice, Rollout, collect_episodes, team_reward
from partage.runs.process import prepare
from partage.runs.train import Training
from partage.sims.contract import TimeStep

Result = TypeVar("Result")
NEVER = 10**12  # steps
SECONDS, LEAST, MOST = 4.0, 3, 80  # CPU time and updates that a cell is measured for
EPISODES, BATCH = 128, 32  # of random play, and those whose longest one counts
OF_GAMES = 8  # episodes of what worker processes play: seconds each
# settings with which what comes late or seldom comes soon: the setting, and a value or another one
SOONER: dict[str, tuple[str, Scalar]] = {
    "mdps": ("period", "data"),
    "mdps_ppo": ("period", "data"),
    "seps": ("pretraining", "data"),
    "seps_ppo": ("pretraining", "data"),
    "adaps": ("pretraining", "data"),
    "hetdps": ("period", "data"),
    "rode": ("encode_until", 1),
}
EVENTS = (
    "mdps",
    "mdps_ppo",
    "seps",
    "seps_ppo",
    "adaps",
    "hetdps",
)  # in the last of as many updates as that setting says
PROC = Path("/proc")  # of Linux


def play(recipe: Recipe) -> dict[str, Any]:
    """Return what `partage.config.calibration.Played` holds of a recipe's task."""
    copies = OF_GAMES if recipe.engine == "package" else EPISODES
    env = envs.make(recipe.task, [0], copies, engine=recipe.engine, **recipe.options)
    where, policy = torch.ones(1, dtype=torch.bool), RandomPlay()
    collect_episodes(env, policy, where, True)  # compiles, starts games
    rollout, seconds = timed(lambda: collect_episodes(env, policy, where, True))
    replay = Replay(1, copies, env.spec)
    replay.add(rollout, {"team_reward": team_reward(rollout.reward, env.spec)})
    steps, spec = int(rollout.filled.sum()), env.spec
    env.close()
    return {
        "agents": spec.n_agents,
        "actions": spec.n_actions,
        "obs": spec.obs_dim,
        "state": spec.state_dim,
        "horizon": spec.horizon,
        "length": steps / copies,
        "longest": _longest(rollout.filled.sum(2).flatten()),
        "engine": recipe.engine,
        "step_seconds": seconds / steps,
        "step_bytes": replay.nbytes() / steps,
    }


class RandomPlay:
    """A policy that takes any available action."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def initial(self, copies: int, explore: bool) -> None:
        """Return the memory that an episode begins with: none."""
        return None

    def __call__(self, step: TimeStep, memory: None, explore: bool) -> tuple[Choice, None]:
        """Draw everyone's action."""
        avail = step.avail_actions.float()
        drawn = torch.multinomial(avail.flatten(0, 2), 1, generator=self.generator)
        return Choice(drawn.view(avail.shape[:3])), memory


def _longest(lengths: Int64[Tensor, "E"]) -> float:
    """Return how long the longest of a batch of episodes is on average.

    By each episode's chance to be the longest of `BATCH` drawn with replacement.
    """
    below = torch.arange(len(lengths) + 1) / len(lengths)
    chance = (below**BATCH).diff()
    return float((lengths.sort().values * chance).sum())


def train(recipe: Recipe) -> dict[str, Any]:
    """Return the costs that `partage.config.calibration.Measured` holds, of a recipe's cell."""
    base, runs = _peak(), len(recipe.seeds)
    training = Training(_soon(recipe))
    learning = _Timed(training.learner.learn)
    training.learner.learn = learning
    for _ in range(_warm_up(recipe)):
        training.advance()
    event = learning.last / runs if recipe.learner in EVENTS else 0.0
    steps_before, advancing, updates = _steps(training), 0.0, 0
    learning.total = 0.0
    while updates < LEAST or (advancing < SECONDS and updates < MOST):
        advancing += timed(training.advance)[1]
        updates += 1
    replay = getattr(training.learner, "replay", None)
    held = base + (replay.nbytes() if replay else 0)
    update = learning.total / updates / runs
    found = {
        "step_seconds": (advancing - learning.total) / (_steps(training) - steps_before),
        "update_seconds": update,
        "event_seconds": max(event - update, 0.0),
        "working_bytes": (_peak() - held) / runs,
        "kept_bytes": _kept(training) / runs,
        **_test(training),
    }
    training.env.close()
    return found


class _Timed:
    """A learner's `learn`, and what it takes."""

    def __init__(self, learn: Callable[[Rollout], dict[str, Tensor]]) -> None:
        self.learn, self.last, self.total = learn, 0.0, 0.0

    def __call__(self, rollout: Rollout) -> dict[str, Tensor]:
        """Learn, and note the seconds."""
        measures, self.last = timed(lambda: self.learn(rollout))
        self.total += self.last
        return measures


def _warm_up(recipe: Recipe) -> int:
    """Return after how many updates all is as it will be: the replay holds a batch."""
    settings = recipe.settings
    if recipe.learner in EVENTS:
        return int(settings["data"])
    if "batch" in settings:
        return -(-int(settings["batch"]) // int(settings["copies"])) + 1
    return LEAST


def _soon(recipe: Recipe) -> Recipe:
    """Return the recipe as it is measured: without an end, and with rare things soon."""
    settings = dict(recipe.settings)
    if recipe.learner in SOONER:
        name, value = SOONER[recipe.learner]
        settings[name] = settings[value] if isinstance(value, str) else value
    test_every = NEVER if recipe.test_every else 0
    return dataclasses.replace(recipe, settings=settings, steps=NEVER, test_every=test_every)


def _test(training: Training) -> dict[str, float]:
    """Return what a step of a test costs, of a run that is tested."""
    if training.testing is None:
        return {}
    env, policy = training.testing.env, training.learner.policy
    every = torch.ones(env.runs, dtype=torch.bool)
    played, seconds = timed(lambda: collect_episodes(env, policy, every, False))
    env.close()
    return {"test_seconds": seconds / int(played.filled.sum())}


def _kept(training: Training) -> int:
    """Return the bytes of the policies that a finished run leaves."""
    buffer = io.BytesIO()
    torch.save(training.learner.state_dict(replay=False), buffer)
    return buffer.tell() * (2 if training.testing else 1)


def _steps(training: Training) -> int:
    """Return the environment steps of all runs so far."""
    return int(training.metrics.env_steps.sum())


def timed(do: Callable[[], Result]) -> tuple[Result, float]:
    """Return what something returns, and the CPU-seconds of this process and its workers."""
    start = time.process_time() + _of_workers()
    result = do()
    return result, time.process_time() + _of_workers() - start


def _of_workers() -> float:
    """Return the CPU-seconds of the processes that this one has started, where Linux says it."""
    ticks = 0
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[1]) == os.getpid():
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _peak() -> int:
    """Return the most memory that this program has had, in bytes.

    What `getrusage` says on Linux begins with what the process had that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Answer the one request on standard input: an answer for each recipe, in order."""
    request = json.load(sys.stdin)
    prepare("cpu")
    base = {"base_bytes": _peak(), "start_seconds": time.process_time()}
    wanted = {"play": play, "train": train}[request["wanted"]]
    found = [wanted(recipes.parse(each, "standard input")) for each in request["recipes"]]
    json.dump({**base, "found": found}, sys.stdout)


if __name__ == "__main__":
    main()
