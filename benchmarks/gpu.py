"""``make bench-gpu``: learning on a card, part after part: does it work, wait, and how fast is it.

Each part prints as it goes; one that fails prints why, and the next goes on. What would begin too
late is left out. A card that is lost to one part's error is got back by starting anew behind it.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.stand_in import RollCall, roll_call
from partage import envs, learners
from partage.cli.parser import main as cli
from partage.config import plan
from partage.config.recipe import Recipe
from partage.config.schema import at_scale
from partage.errors import UserError
from partage.nn.gru import GRUWeights, run_gru_torch
from partage.rl import rollout
from partage.rl.experience import device_of
from partage.rl.to_host import ToHost
from partage.runs import environments, record
from partage.runs.process import prepare
from partage.runs.train import Training
from partage.sharing.assignment import sets_in_use

CARD = "cuda"
LBF = "lbf/15x15-4p-5f-v2"
# what is measured: algorithm, task, runs, the target (environment steps a second)
TABLE = [
    ("qmix", LBF, 20, 100_000),
    ("nps", "mpe/15a_3c", 20, 400_000),
    ("bdps", LBF, 20, 40_000),
    ("qmix", "smac/5m_vs_6m", 20, 60_000),
    ("mdps", "mpe/15a_3c", 20, 0),  # no target: beside nps
]
# what the real trainer trains on the card, by its own command
PILOTS = [
    ("qmix", "lbf/8x8-2p-2f-coop-v3", "3", "5000"),
    ("mdps", "mpe/15a_3c", "20", "16000"),
]
SMOKE = {
    "qmix": {"copies": 16, "epsilon_anneal": 3000},
    "bdps": {"copies": 16, "epsilon_anneal": 3000, "period": 2},
    "a2c": {"lr": 3e-3},
    "mdps": {"period": 4, "data": 4, "fuse": 0.02},  # moves in the smoke runs
    "seps": {},
    "cds": {"copies": 16},
    "eoi": {"copies": 16},
    "rode": {"copies": 16, "clusters": 3},
}
CAPTURED = ("qmix", "bdps", "a2c")


def say(*words: Any) -> None:
    print(*words, flush=True)


class Trained:
    """R runs of a learner on an environment, without a recipe."""

    def __init__(self, learner: Any, env: Any) -> None:
        self.learner, self.env, self.step = learner, env, None
        self.everyone = torch.ones(env.runs, dtype=torch.bool)
        self.to_host = ToHost(device_of(env))

    def collect(self) -> rollout.Rollout:
        policy, segment = self.learner.policy, self.learner.segment
        if segment is None:
            return rollout.collect_episodes(self.env, policy, self.everyone, True)
        if self.step is None:
            self.step = self.env.reset()
        found, self.step, _ = rollout.collect_segment(self.env, policy, self.step, None, segment)
        return found

    def round(self) -> dict[str, Tensor]:
        """One update; return its measures."""
        return self.learner.learn(self.collect())

    def counted_round(self) -> int:
        """One update, and what the trainer asks of it; return the environment steps."""
        found = self.collect()
        counted, _ = self.to_host(found, self.learner.learn(found))
        return int(counted.filled.sum())


def on_roll_call(name: str, device: str = CARD, seeds: tuple[int, ...] = (0, 1)) -> Trained:
    probe = roll_call(seeds, 1, device)
    settings = dict(SMOKE[name])
    learner = learners.make(name, probe.spec, settings, seeds, device)
    plays_on = environments.device_for(learner.policy, device)
    return Trained(learner, roll_call(seeds, learner.copies, plays_on))


def gates() -> None:
    """The library's fused gates against plain operations of the CPU."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    sizes = (3, 7, 48), (3, 48), (3, 16, 48), (3, 48), (3, 6, 5, 7), (3, 5, 16), (3, 6, 5, 16)
    given = [normal(*shape) for shape in sizes]
    results = []
    for device in ("cpu", CARD):
        *own, grad = [x.detach().to(device).requires_grad_() for x in given]
        wx, bx, wh, bh, x, h = own
        out = run_gru_torch(x, h, GRUWeights.of(wx, bx, wh, bh))
        gradients = torch.autograd.grad((out * grad.detach()).sum(), own)
        results.append([out.detach().cpu(), *(y.cpu() for y in gradients)])
    worst = max(float((a - b).abs().max()) for a, b in zip(*results, strict=True))
    say(f"gates: largest difference between CPU and card {worst:.2e} (want < 1e-3)")


def smoke(name: str) -> None:
    """A few updates of a learner: eager, then captured."""
    began, trained, measures = time.monotonic(), on_roll_call(name), {}
    for _ in range(10):
        measures = trained.round()
    values = {key: [round(float(y), 3) for y in x] for key, x in list(measures.items())[:4]}
    say(f"smoke {name}: works ({time.monotonic() - began:.1f} s) {values}")


def waiting(name: str) -> None:
    """Update by update with torch's own alarm: an episode or update that waits is an error."""
    trained = on_roll_call(name)
    for _ in range(3):
        trained.round()  # libraries and optimisers take their memory
    trained = Trained(trained.learner, roll_call((0, 1), trained.learner.copies, CARD))
    for number in range(6):
        torch.cuda.set_sync_debug_mode("error")
        try:
            trained.round()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        say(f"waiting {name}: update {number} asked the card for nothing")


def parameters(trained: Trained) -> list[Tensor]:
    state = trained.learner.state_dict(replay=False)
    state = state.get("a2c", state)
    return [x.cpu() for x in (state.get("nets") or state.get("net")).values()]


def twice(name: str) -> None:
    """Whether two runs are equal, bit for bit; and whether captured ones are as eager ones are."""
    found = []
    for captured in (True, True, False):
        trained = on_roll_call(name)
        if not captured:
            learner = getattr(trained.learner, "base", trained.learner)
            learner.updating.captured = learner.policy.captured = False
            getattr(learner, "storing", learner.updating).captured = False
        for _ in range(40):
            trained.round()
        found.append(parameters(trained))
    for what, other in (("again", found[1]), ("eager", found[2])):
        worst = max(
            float((a.float() - b.float()).abs().max()) for a, b in zip(found[0], other, strict=True)
        )
        say(f"twice {name}: largest difference {what} {worst:.2e} (want 0)")


def learns(name: str) -> None:
    """Whether returns rise (roll call, 8 at most)."""
    trained = on_roll_call(name)
    first = trained.collect().reward[..., 0].sum(2).mean().item()
    for _ in range(300):
        trained.round()
    test = roll_call((5, 6), 4, CARD)
    greedy = rollout.collect_episodes(test, trained.learner.policy, trained.everyone, False)
    last = greedy.reward[..., 0].sum(2).mean().item()
    say(
        f"learns {name}: return {first:.2f} at first, {last:.2f} greedily after 300 updates "
        f"(ceiling {ceiling(trained.learner, test.spec):.2f})"
    )


def ceiling(learner: Any, spec: Any) -> float:
    """The highest return in roll call: agents that go through one set without an id act alike.

    Each instant the share of agents that do their own action is earned; who acts alike can be right
    for one of them.
    """
    sharing = next(iter(learner.sharing().values()), None)
    in_id = getattr(learner.settings, "sharing", "") != "full"
    apart = spec.n_agents if in_id or sharing is None else int(sets_in_use(sharing).min())
    return spec.horizon * apart / spec.n_agents


def against_cpu(name: str, updates: int = 200) -> None:
    """How far parameters on the CPU and on the card are apart after some updates."""
    found = []
    for device in (CARD, "cpu"):
        trained = on_roll_call(name, device)
        returns = []
        for _ in range(updates):
            got = trained.collect()
            trained.learner.learn(got)
            returns.append(got.reward[..., 0].sum(2).mean(1).cpu())
        found.append((parameters(trained), torch.stack(returns)))
    worst = max(
        float((a.float() - b.float()).abs().max())
        for a, b in zip(*(x[0] for x in found), strict=True)
    )
    same = (found[0][1] == found[1][1]).float().mean().item()
    say(f"against CPU {name}: after {updates} updates parameters differ by {worst:.2e} at most; ")
    say(f"  {100 * same:.1f} % of the updates' returns are equal")


def of_paper(algorithm: str, task: str, runs: int) -> Trained:
    """R runs as the paper's plan has them, on the card."""
    variant = plan.load().variants[algorithm]
    settings = {key: at_scale(x, "paper", algorithm) for key, x in variant.settings.items()}
    settings |= {"period": 10} if (algorithm, task) == ("bdps", LBF) else {}
    probe, seeds = envs.make(task, [0], 1), list(range(runs))
    learner = learners.make(variant.learner, probe.spec, settings, seeds, CARD)
    try:
        env = envs.make(task, seeds, learner.copies, device=CARD)
    except UserError as error:
        say(f"NO SIMULATOR ({error}): roll call of the task's sizes stands in for it")
        env = RollCall(seeds, learner.copies, CARD, probe.spec)
    return Trained(learner, env)


def milliseconds(function: Callable[[], Any], times: int = 10) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        function()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - began) / times


def measure(algorithm: str, task: str, runs: int, target: int, seconds: float) -> None:
    """Environment steps a second, training included; and where the time goes."""
    began, trained = time.monotonic(), of_paper(algorithm, task, runs)
    for _ in range(10):  # a part is captured in its third call
        trained.counted_round()
    say(f"measure {algorithm} {task}: ready after {time.monotonic() - began:.1f} s")
    torch.cuda.synchronize()
    start, steps, rounds = time.perf_counter(), 0, 0
    while time.perf_counter() - start < seconds:
        steps += trained.counted_round()
        rounds += 1
    taken = time.perf_counter() - start
    say(
        f"measure {algorithm} {task}: R = {runs}: {steps / taken:,.0f} env steps/s "
        f"(target {target:,}), {1e3 * taken / rounds:.2f} ms an update "
        f"of {steps / rounds:.0f} steps"
    )
    found = trained.collect()
    say(f"  acting {milliseconds(trained.collect):.2f} ms", end_of(trained, found))
    say(f"  {launches(trained)}")
    say(f"  memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")


def pilot(algorithm: str, task: str, seeds: str, steps: str) -> None:
    """`partage run` on the card; and whether a run that is saved half-way ends as that did."""
    with tempfile.TemporaryDirectory() as folder:
        began, given = time.monotonic(), [algorithm, task, "--seeds", seeds, "--steps", steps]
        code = cli(["run", *given, "--scale", "smoke", "--device", CARD, "--results", folder])
        say(f"pilot {algorithm} {task}: exit code {code} in {time.monotonic() - began:.1f} s")
        run = next(Path(folder).rglob("record.json")).parent
        facts = json.loads((run / "record.json").read_text())
        say(f"  on {facts['device']}, {facts['machine']['gpu']}: {facts['wall_seconds']} s")
        resumed = taken_up(Recipe.load(run / "recipe.json"), Path(folder))
        curves = record.read(run)[0], resumed.astype(dict(record.COLUMNS))
        points = [set(curve.itertuples(index=False)) for curve in curves]
        say(f"  taken up half-way: {len(points[0])} points, {len(points[0] ^ points[1])} differ")


def taken_up(recipe: Recipe, folder: Path) -> pd.DataFrame:
    """The curve of a run that is saved half-way, and that another trainer takes up."""
    first, second = Training(recipe, CARD), Training(recipe, CARD)
    while first.metrics.env_steps.min() < recipe.steps // 2:
        first.advance()
    first.save(folder)
    say(f"  plays on {device_of(first.env)}; saved after {first.metrics.updates} updates")
    second.resume(folder)
    while second.active.any():
        second.advance()
    return second.metrics.curve()


def end_of(trained: Trained, found: rollout.Rollout) -> str:
    learning = milliseconds(lambda: trained.learner.learn(found))
    measures = trained.learner.learn(found)
    counting = milliseconds(lambda: trained.to_host(found, measures))
    return f"learning {learning:.2f} ms, counting {counting:.2f} ms"


def launches(trained: Trained, updates: int = 5) -> str:
    """What is started outside graphs, an update."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(updates):
            trained.counted_round()
        torch.cuda.synchronize()
    names = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync")
    counts = dict.fromkeys(names, 0)
    for event in profile.key_averages():
        for name in names:
            if event.key.startswith(name):
                counts[name] += event.count
    a_time = ", ".join(f"{name} {count / updates:.1f}" for name, count in counts.items())
    return f"an update: {a_time}"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--seconds", type=float, default=130, help="begin no part after these")
    parser.add_argument("--each", type=float, default=4, help="seconds that a speed is measured")
    parser.add_argument("--first", type=int, default=0, help="leave out so many parts")
    parser.add_argument("--only", default="", help="parts whose names begin so")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("torch finds no CUDA device on this machine: nothing to measure")
        return
    prepare(CARD)
    say(torch.cuda.get_device_name(), "torch", torch.__version__)
    parts: list[tuple[str, Callable[[], None]]] = [
        (f"measure {row[0]} {row[1]}", lambda row=row: measure(*row, arguments.each))
        for row in TABLE
    ]
    parts += [("smoke mdps", lambda: smoke("mdps"))]
    parts += [(f"pilot {row[0]}", lambda row=row: pilot(*row)) for row in PILOTS]
    parts += [("gates", gates)]
    parts += [(f"smoke {name}", lambda name=name: smoke(name)) for name in SMOKE if name != "mdps"]
    parts += [(f"waiting {name}", lambda name=name: waiting(name)) for name in CAPTURED]
    parts += [(f"twice {name}", lambda name=name: twice(name)) for name in ("mdps", *CAPTURED)]
    parts += [(f"learns {name}", lambda name=name: learns(name)) for name in CAPTURED]
    parts += [("against CPU qmix", lambda: against_cpu("qmix"))]
    began = time.monotonic()
    for number, (name, part) in enumerate(parts):
        at = time.monotonic() - began
        if number < arguments.first or not name.startswith(arguments.only):
            continue
        if at > arguments.seconds:
            say(f"{name}: left out, {at:.0f} s have passed")
            continue
        try:
            part()
            torch.cuda.synchronize()
        except Exception:
            say(f"{name}: FAILED")
            say(traceback.format_exc(limit=-8))
            start_anew_if_lost(number + 1, arguments.seconds - (time.monotonic() - began))
        say(f"  ({name}: {time.monotonic() - began - at:.1f} s)")


def start_anew_if_lost(first: int, seconds: float) -> None:
    """Replace this process where the card answers nothing any more."""
    try:
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
        (torch.zeros(8, device=CARD) + 1).cpu()
    except RuntimeError as error:
        say(f"the card is lost ({str(error)[:100]}): starting anew")
        again = ["-m", "benchmarks.gpu", "--first", str(first), "--seconds", str(seconds)]
        os.execv(sys.executable, [sys.executable, *again])


if __name__ == "__main__":
    main()
