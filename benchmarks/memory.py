"""What a pack's replay holds, and what saving it and going on from it takes, by random play:
``python -m benchmarks.memory [--task smac/27m_vs_30m] [--runs 5] [--episodes 5000]
[--played 5000]``.

One process fills the replay, saves it, plays a little more and saves that; another one, fresh,
resumes. Peaks are of resident memory, over what was resident before saving and after loading. As
many episodes as QMIX keeps, 5,000 of each run, take a quarter of an hour; fewer are a part of that.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from partage.config.recipe import SCHEMA, Recipe
from partage.rl.packing import Episode, bytes_per_episode
from partage.rl.replay import Replay
from partage.rl.rollout import Choice, Memory, collect_episodes, team_reward
from partage.runs import train
from partage.runs.process import prepare
from partage.sims.contract import TimeStep

KEPT = 5000  # episodes that QMIX keeps of each run
COPIES = 2  # episodes of each run that are played at once
MORE = 20  # episodes of each run between the two checkpoints
MIB = 2**20
PARTS = ("fill", "resume")


class Random:
    """Takes any action that is available."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def initial(self, copies: int, explore: bool) -> Memory:
        """Return no memory."""
        return None

    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        """Return one available action of each agent."""
        noise = torch.rand(step.avail_actions.shape, generator=self.generator)
        return Choice((noise * step.avail_actions).argmax(-1)), None


def recipe(task: str, runs: int, episodes: int) -> Recipe:
    """Return QMIX on a task, which keeps so many episodes of each run."""
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "scale": "smoke",
        "engine": "batched",
        "algorithm": "qmix",
        "learner": "qmix",
        "settings": {"sharing": "id", "copies": COPIES, "buffer": episodes},
        "task": task,
        "options": {},
        "seeds": list(range(runs)),
        "steps": 10**9,
        "log_every": 10**9,
        "test_every": 0,
        "test_episodes": 0,
    }
    return Recipe(**values)


def resident(name: str = "VmRSS") -> float:
    """Return this process's resident memory in MiB: now, or the most of it (``VmHWM``)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {name}")


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """Do it; return the seconds, and the MiB resident before, at most and after."""
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what is resident now
    before, began = resident(), time.monotonic()
    work()
    took = time.monotonic() - began
    return {"s": took, "before": before, "peak": resident("VmHWM"), "after": resident()}


def play(training: train.Training, episodes: int) -> None:
    """Play so many episodes of each run at random, and keep them."""
    policy, everyone = Random(), torch.ones(training.env.runs, dtype=torch.bool)
    for _ in range(-(-episodes // COPIES)):
        rollout = collect_episodes(training.env, policy, everyone, True)
        reward = team_reward(rollout.reward, training.env.spec)
        held(training).add(rollout, {"team_reward": reward})


def held(training: train.Training) -> Replay:
    """Return the learner's replay."""
    assert training.replay is not None
    return training.replay


def written(folder: Path) -> int:
    """Return the bytes of all files of the run's checkpoints."""
    return sum(path.stat().st_size for path in folder.glob("checkpoint/**/*") if path.is_file())


def digest(replay: Replay) -> str:
    """Return a hash of all that is kept."""
    found = hashlib.sha256()
    for queue in replay.queues:
        for episode in queue:
            found.update(b"%d" % episode.steps + episode.data)
    return found.hexdigest()


def repeat(replay: Replay, episodes: int) -> None:
    """Fill the replay up with copies of what it holds, each with memory of its own."""
    for run, queue in enumerate(replay.queues):
        played = list(queue)
        while len(queue) < episodes:
            steps, data = played[len(queue) % len(played)]
            queue.append(Episode(steps, bytes(bytearray(data))))
            replay.stored[run] += 1


def fill(training: train.Training, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Fill the replay, save it, play on and save what is new."""
    began, episodes = time.monotonic(), asked.episodes
    play(training, asked.played or episodes)
    repeat(held(training), episodes)
    found: dict[str, Any] = {"filling": time.monotonic() - began}
    found["full"] = measured(lambda: training.save(folder)) | {"wrote": written(folder)}
    there = set(folder.glob("checkpoint/**/*"))
    play(training, min(MORE, episodes))
    found["new"] = measured(lambda: training.save(folder))
    new = set(folder.glob("checkpoint/**/*")) - there
    found["new"]["wrote"] = sum(path.stat().st_size for path in new if path.is_file())
    return found


def resume(training: train.Training, folder: Path) -> dict[str, Any]:
    """Go on from what lies in the folder."""
    return {"load": measured(lambda: training.resume(folder))}


def part(name: str, folder: Path, asked: argparse.Namespace) -> None:
    """Do one process's part, and print what was found."""
    prepare("cpu")
    training = train.Training(recipe(asked.task, asked.runs, asked.episodes))
    found = fill(training, folder, asked) if name == "fill" else resume(training, folder)
    replay, spec = held(training), training.env.spec
    steps = [episode.steps for queue in replay.queues for episode in queue]
    sparse = [name for name, field in replay.packing.fields.items() if field.kind == "sparse"]
    least = sum(bytes_per_episode(spec, n, sparse=sparse, seen=0) for n in steps)
    dense = sum(bytes_per_episode(spec, n) for n in steps)
    found |= {"bytes": replay.nbytes(), "episodes": len(steps), "steps": sum(steps)}
    found |= {"bits": least, "dense": dense, "digest": digest(replay)}
    print(json.dumps(found))


def in_a_process(name: str, folder: Path) -> dict[str, Any]:
    """Return what one part finds in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", *sys.argv[1:]]
    command += ["--part", name, "--folder", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        raise SystemExit(done.returncode)
    return json.loads(done.stdout.splitlines()[-1])


def report(asked: argparse.Namespace, fill: dict[str, Any], resume: dict[str, Any]) -> list[str]:
    """Return what was found, in sentences."""
    share = "" if asked.episodes >= KEPT else f", {asked.episodes / KEPT:.1%} of what QMIX keeps"
    played = f"{asked.played} of each, repeated" if asked.played else "all"
    played += " played at random"
    size, count = fill["bytes"], fill["episodes"]
    full, new, load = fill["full"], fill["new"], resume["load"]
    alike = "the same bytes" if fill["digest"] == resume["digest"] else "OTHER BYTES"
    return [
        f"{asked.task}, {asked.runs} runs of {asked.episodes} episodes{share}: {played}, "
        f"{fill['filling']:.0f} s",
        f"held: {size / MIB:,.1f} MiB, {size / count / 1e3:,.1f} kB an episode of "
        f"{fill['steps'] / count:.1f} steps ({fill['dense'] / count / 1e3:,.1f} kB with its zeros, "
        f"{fill['bits'] / count / 1e3:,.1f} kB without any float that is not zero)",
        f"full checkpoint: {full['s']:.2f} s, {full['wrote'] / MIB:,.1f} MiB written; resident "
        f"before {full['before']:,.0f} MiB, at most {full['peak']:,.0f} MiB "
        f"({full['peak'] / full['before']:.3f} x)",
        f"incremental, {min(MORE, asked.episodes)} episodes of each run later: {new['s']:.2f} s, "
        f"{new['wrote'] / MIB:,.1f} MiB of episodes written; at most {new['peak']:,.0f} MiB "
        f"({new['peak'] / new['before']:.3f} x)",
        f"resumed in a fresh process: {load['s']:.2f} s; resident before {load['before']:,.0f} "
        f"MiB, after {load['after']:,.0f} MiB, at most {load['peak']:,.0f} MiB "
        f"({load['peak'] / load['after']:.3f} x); {alike}",
    ]


def main() -> int:
    """Measure what was asked for; return 1 where what comes back is not what was saved."""
    parser = argparse.ArgumentParser("python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--task", default="smac/27m_vs_30m")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=KEPT, help="of each run")
    parser.add_argument("--played", type=int, help="at random; the others are copies of these")
    parser.add_argument("--folder", type=Path, help="where the checkpoint is written for a while")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if min(asked.runs, asked.episodes, asked.played or 1) < 1:
        parser.error("expected at least one run and one episode")
    if asked.part:
        part(asked.part, asked.folder, asked)
        return 0
    folder = Path(tempfile.mkdtemp(dir=asked.folder))
    try:
        found = [in_a_process(name, folder) for name in PARTS]
    finally:
        shutil.rmtree(folder)
    print("\n".join(report(asked, *found)))
    return int(found[0]["digest"] != found[1]["digest"])


if __name__ == "__main__":
    sys.exit(main())
