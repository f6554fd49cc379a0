"""One recipe to one record: collect, learn, measure, save. Only this module touches files, clocks
and devices.

The harness decides when to measure, never the learner. Each run of the pack has its own step count,
is measured when that count passes the next mark, and stops when it reaches the budget; so a run's
curve does not depend on its pack.
"""

import io
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from partage import _io, envs, learners
from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.rl.rollout import Rollout, collect_episodes, collect_segment
from partage.runs import record
from partage.runs.best import Best
from partage.runs.metrics import Metrics, outcomes
from partage.runs.process import Stop, prepare
from partage.runs.progress import Progress
from partage.sims import contract

CHECKPOINT_EVERY = 300.0  # seconds
POLICIES = ("policy.pt", "best.pt")  # at the end, and of the best test


def run(
    path: Path, device: str = "cpu", checkpoint_every: float = CHECKPOINT_EVERY, wait: bool = False
) -> None:
    """Train the recipe at `path` to its end, going on from its last checkpoint if there is one.

    Leaves ``curve.parquet``, ``record.json``, ``policy.pt`` and, of a run that is tested,
    ``best.pt``. Raises `UserError` for a recipe that cannot be run, a run that another process is
    at (or it does `wait` for that to end), a device that is not there; exits with 143 after
    SIGTERM, 130 after Ctrl-C, having saved a checkpoint.
    """
    recipe, folder = Recipe.load(path), path.parent
    prepare(device)
    with record.hold(folder, wait):
        if _finished(folder, recipe):
            record.clear_checkpoints(folder)  # a process may be killed between its last two acts
            print(f"partage: {folder} is trained already; delete that folder to train it again.")
            return
        training = Training(recipe, device)
        training.resume(folder)
        for name in (
            POLICIES
        ):  # an earlier training's: from here on whoever asks for policies gets this one's
            (folder / name).unlink(missing_ok=True)
        with Stop() as stop, Progress(recipe, folder) as progress:
            saved = time.monotonic()
            while training.active.any():
                training.advance()
                progress.show(training.metrics)
                if stop.code or time.monotonic() - saved >= checkpoint_every:
                    training.save(folder)
                    saved = time.monotonic()
                if stop.code:
                    print(
                        f"partage: stopped; {folder} goes on from its checkpoint when it is run again."
                    )
                    raise SystemExit(stop.code)
        training.finish(folder)


class Training:
    """R runs of one cell under way: everything that changes, and how it is saved."""

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe, self.device, seeds = recipe, device, recipe.seeds
        make = {"engine": recipe.engine, **recipe.options}
        probe = envs.make(recipe.task, [0], 1, **make)
        self.learner = learners.make(recipe.learner, probe.spec, recipe.settings, seeds, device)
        probe.close()
        self.env = envs.make(
            recipe.task, [contract.stream(s, "env") for s in seeds], self.learner.copies, **make
        )
        self.test = None
        if recipe.test_every:
            self.test = envs.make(
                recipe.task,
                [contract.stream(s, "test") for s in seeds],
                recipe.test_episodes,
                **make,
            )
        self.metrics = Metrics(recipe, self.env.spec, self.learner.copies)
        self.best = Best(len(seeds))
        self.step: contract.TimeStep | None = (
            None  # where a segment stopped; whole episodes leave none
        )
        self.memory: Any = None
        self.resumed, self.started = 0, datetime.now(UTC)
        self.code = record.code(
            recipe.learner, recipe.family
        )  # now: files may be edited while it runs
        self.earlier_code: list[
            str
        ] = []  # that parts before a resume ran with, where it was other code
        self.wall, self.cpu = -time.monotonic(), -time.process_time()

    @property
    def active(self) -> Bool[Tensor, "R"]:
        """Runs that have steps left."""
        return self.metrics.env_steps < self.recipe.steps

    def advance(self) -> None:
        """Collect, learn, and measure the runs that passed a mark."""
        if self.metrics.updates == 0:
            self._test(self.metrics.due("test", self.recipe.test_every))
            self.metrics.sharing(self.learner.sharing())
        rollout = self._collect()
        measures = self.learner.learn(rollout)
        self.metrics.count(rollout)
        self.metrics.sharing(self.learner.sharing())
        self.metrics.log(self.metrics.due("log", self.recipe.log_every), measures)
        self._test(self.metrics.due("test", self.recipe.test_every))

    def _collect(self) -> Rollout:
        if self.learner.segment is None:
            return collect_episodes(self.env, self.learner.policy, self.active, True)
        if self.step is None:
            self.step, self.memory = (
                self.env.reset(),
                self.learner.policy.initial(self.learner.copies, True),
            )
        rollout, self.step, self.memory = collect_segment(
            self.env, self.learner.policy, self.step, self.memory, self.learner.segment
        )
        return rollout

    def _test(self, due: Bool[Tensor, "R"]) -> None:
        """Greedy episodes of the runs that are due; the copies of the others stay idle."""
        if self.test is not None and due.any():
            played = collect_episodes(self.test, self.learner.policy, due, False)
            self.metrics.test(due, played)
            self.best.look(
                due, outcomes(played, self.env.spec), self.metrics.env_steps, self.learner
            )

    def save(self, folder: Path) -> None:
        """Write a checkpoint: all that is needed to go on as if nothing had happened."""
        state = {
            "recipe": self.recipe.hash,
            "learner": self.learner.state_dict(),
            "meter": self.metrics.state_dict(),
            "best": self.best.state_dict(),
            "env": self.env.state_dict(),
            "test": self.test.state_dict() if self.test else None,
            "within": self.step is not None,
            "memory": self.memory,
            "resumed": self.resumed,
            "code": [*self.earlier_code, self.code["hash"]],
            "started": self.started.isoformat(),
            "wall": self.wall + time.monotonic(),
            "cpu": self.cpu + time.process_time(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        record.save_checkpoint(folder, buffer.getbuffer())

    def resume(self, folder: Path) -> None:
        """Go on from the last whole checkpoint of this very recipe, if there is one."""
        payload = record.load_checkpoint(folder)
        if payload is None:
            return
        with record.fitting(folder / "checkpoint"):
            state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
            if state["recipe"] != self.recipe.hash:
                print(f"partage: the checkpoint in {folder} is another recipe's; starting anew.")
                record.clear_checkpoints(folder)
                return
            self.learner.load_state_dict(state["learner"])
            self.metrics.load_state_dict(state["meter"])
            self.best.load_state_dict(state.get("best"))
            step = self.env.load_state_dict(state["env"])
            self.step, self.memory = (step if state["within"] else None), state["memory"]
            if self.test:
                self.test.load_state_dict(state["test"])
            self.resumed, self.started = (
                state["resumed"] + 1,
                datetime.fromisoformat(state["started"]),
            )
            self.wall += state["wall"]
            self.cpu += state["cpu"]
            self.earlier_code = [made for made in state["code"] if made != self.code["hash"]]
        if self.earlier_code:
            print("partage: going on from a checkpoint that other code wrote; the record says so.")

    def finish(self, folder: Path) -> None:
        """Write the record and the trained policies; the checkpoints are of no more use."""
        last, best = (folder / name for name in POLICIES)
        self._keep(last, {"learner": self.learner.state_dict(replay=False)})
        if self.test:
            self._keep(best, self.best.state_dict())
        gpu = torch.cuda.get_device_name() if self.device.startswith("cuda") else None
        facts = record.provenance(
            self.recipe,
            started=self.started,
            wall_seconds=self.wall + time.monotonic(),
            cpu_seconds=self.cpu + time.process_time(),
            resumed=self.resumed,
            threads=torch.get_num_threads(),
            device=self.device,
            gpu=gpu,
            ran=self.code,
        )
        facts["earlier_code"] = self.earlier_code
        record.write(folder, pd.DataFrame(self.metrics.rows, columns=list(record.COLUMNS)), facts)
        record.clear_checkpoints(folder)
        self.env.close()
        if self.test:
            self.test.close()

    def _keep(self, path: Path, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save({"recipe": self.recipe.hash, **state}, buffer)
        _io.write(path, buffer.getbuffer())


def _finished(folder: Path, recipe: Recipe) -> bool:
    try:
        record.read(folder)
    except UserError:
        if not record.restore(folder, recipe, record.code(recipe.learner, recipe.family)["hash"]):
            return False
    for name in record.OUTCOME:
        os.utime(folder / name)  # newer than the recipe: nothing to do
    return True
