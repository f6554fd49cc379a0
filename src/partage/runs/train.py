"""One recipe to one record: collect, learn, measure, save.

Only this module touches files, clocks and devices. The harness decides when to measure, never the
learner. Each run of the pack has its own step count, is measured when that count passes the next
mark, and stops when it reaches the budget; so a run's curve does not depend on its pack.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from partage import _io, learners
from partage.config.earlier import all_settings
from partage.config.recipe import Recipe
from partage.rl.packing import Ring
from partage.rl.replay import Replay
from partage.rl.rollout import Memory, Rollout, collect_episodes, collect_segment
from partage.rl.to_host import ToHost
from partage.runs import checkpoint, environments, failure, fitting, record, saved_state, sizes
from partage.runs.chunks import Stored
from partage.runs.metrics import Metrics
from partage.runs.process import Clocks, Stop, prepare, vectors
from partage.runs.progress import Progress
from partage.runs.testing import NOTHING, Testing
from partage.sims.contract import TimeStep

CHECKPOINT_EVERY = 300.0  # seconds
LAST, BEST = "policy.pt", "best.pt"  # policies at the end, and of the best test


def run(
    path: Path,
    device: str = "cpu",
    checkpoint_every: float = CHECKPOINT_EVERY,
    wait: bool = False,
    live: str = "",
) -> None:
    """Train the recipe at `path` to its end, going on from its last checkpoint if there is one.

    Leaves ``curve.parquet``, ``record.json``, ``policy.pt`` and, of a run that is tested,
    ``best.pt``; `live` names logs (`live_logs`). Raises `UserError` for a recipe that cannot be
    run, a run that another process is at (or it does `wait` for that to end), a device that is not
    there; exits with 143 after SIGTERM, 130 after Ctrl-C, having saved a checkpoint.
    """
    recipe, folder = Recipe.load(path), path.parent
    prepare(device)
    with record.hold(folder, wait) as held:
        recipe = Recipe.load(path)  # anew: it may have been written while this process waited
        if record.is_finished(folder, recipe):
            checkpoint.clear(folder)  # a process may be killed between its last two acts
            print(f"partage: {folder} is trained already; delete that folder to train it again.")
            return
        fitting.refuse_what_does_not_fit(recipe, path)
        training = Training(recipe, device)
        training.resume(folder)
        # an earlier training's: from here on whoever asks for policies gets this one's
        for name in (LAST, BEST, *record.OF_POLICIES):
            (folder / name).unlink(missing_ok=True)
        with Stop() as stop, Progress(recipe, held, training.metrics, live) as progress:
            saved, pause = time.monotonic(), checkpoint_every
            while training.active.any():
                training.advance()
                progress.show(training.metrics)
                if stop.code or time.monotonic() - saved >= pause:
                    held.check()
                    began = time.monotonic()
                    training.save(folder)
                    saved = time.monotonic()
                    pause = checkpoint.seconds_until_next(checkpoint_every, saved - began)
                if stop.code:
                    print(f"partage: stopped; run again, {folder} goes on from its checkpoint.")
                    raise SystemExit(stop.code)
        training.finish(folder, held.check)


class Training:
    """R runs of one cell under way: everything that changes, and how it is saved."""

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe, self.device, seeds = recipe, device, recipe.seeds
        self.learner = learners.make(
            recipe.learner, environments.spec(recipe), all_settings(recipe), seeds, device
        )
        plays_on = environments.device_for(self.learner.policy, device)
        self.env = environments.make(recipe, "env", self.learner.copies, plays_on)
        self.testing = None
        if recipe.test_every:
            test_env = environments.make(recipe, "test", recipe.test_episodes, plays_on)
            self.testing = Testing(test_env, self.learner)
        self.metrics = Metrics(recipe, self.env.spec, self.learner.copies)
        self.to_host = ToHost(torch.device(device))
        self.step: TimeStep | None = None  # where a segment stopped; whole episodes leave none
        self.memory: Memory = None
        self.resumed, self.started = 0, datetime.now(UTC)
        self.clocks_at_start = Clocks.now()
        self.spent_before = Clocks(0.0, 0.0)  # by the parts of the run before a resume
        self.code = record.code(recipe.learner, recipe.family)  # now: files may be edited later
        self.earlier_code: list[str] = []  # of the parts before a resume, where it was other
        # the experience that is kept on the CPU, and where it lies on the disk
        replay = getattr(self.learner, "replay", None)
        self.replay = replay if isinstance(replay, Replay) and plays_on == "cpu" else None
        self.stored: list[Stored] = []

    @property
    def active(self) -> Bool[Tensor, "R"]:
        """Return which runs have steps left, and have not failed."""
        return self.metrics.active

    @property
    def spent(self) -> Clocks:
        """Return the seconds that all parts of the run have taken so far."""
        now, start, before = Clocks.now(), self.clocks_at_start, self.spent_before
        return Clocks(before.wall + now.wall - start.wall, before.cpu + now.cpu - start.cpu)

    def advance(self) -> None:
        """Collect, learn, and measure the runs that passed a mark."""
        if self.metrics.updates == 0:
            self._test()
            self.metrics.log_sharing(self.active, self.learner.sharing())
        active = self.active
        rollout = self._collect(active)
        rollout, measures = self.to_host(rollout, self.learner.learn(rollout))
        self.metrics.count(rollout)
        self.metrics.end_what_failed(rollout, measures, active, self.learner)
        due = self.metrics.pass_marks("log", self.recipe.log_every)
        self.metrics.log_sharing(due, self.learner.sharing())
        self.metrics.log_training(due, measures)
        self._test()

    def _collect(self, active: Bool[Tensor, "R"]) -> Rollout:
        learner = self.learner
        if learner.segment is None:
            return collect_episodes(self.env, learner.policy, active, True)
        if self.step is None:
            self.step = self.env.reset()
            self.memory = learner.policy.initial(learner.copies, True)
        rollout, self.step, self.memory = collect_segment(
            self.env, learner.policy, self.step, self.memory, learner.segment, active
        )
        return rollout

    def _test(self) -> None:
        """Test the runs that have come to their mark."""
        due = self.metrics.pass_marks("test", self.recipe.test_every)
        if self.testing:
            self.testing.play(due, self.metrics)

    def save(self, folder: Path) -> None:
        """Write a checkpoint: all that is needed to go on as if nothing had happened."""
        state = {
            "recipe": self.recipe.hash,
            "learner": self.learner.state_dict(replay=self.replay is None),
            "replay": None if self.replay is None else self.replay.packing.state_dict(),
            "metrics": self.metrics.state_dict(),
            "env": self.env.state_dict(),
            **(self.testing.state_dict() if self.testing else NOTHING),
            "within_episode": self.step is not None,
            "memory": self.memory,
            "resumed": self.resumed,
            "code": [*self.earlier_code, self.code["hash"]],
            "started": self.started.isoformat(),
            "spent": self.spent._asdict(),
        }
        rings = [] if self.replay is None else self.replay.rings()
        self.stored = checkpoint.save(folder, saved_state.encode(state), rings, self.stored)

    def resume(self, folder: Path) -> None:
        """Go on from the last whole checkpoint of this very recipe, if there is one."""
        saved = checkpoint.load_whole(folder)
        if saved is None:
            return
        state = saved_state.decode(
            saved.payload, f"What lies in {folder}/checkpoint is", checkpoint.ANEW
        )
        with checkpoint.fits_todays_code(folder / "checkpoint"):
            if state["recipe"] != self.recipe.hash:
                print(f"partage: the checkpoint in {folder} is another recipe's; starting anew.")
                checkpoint.clear(folder)
                return
            self._load_replay(state, saved.rings)
            self._load(state)
            self.stored = saved.stored
        if self.earlier_code:
            print("partage: going on from a checkpoint that other code wrote; the record says so.")

    def _load_replay(self, state: dict[str, Any], rings: list[Ring]) -> None:
        if self.replay is not None:
            if "replay" in state["learner"]:
                raise ValueError("older code kept its episodes in another way")
            self.replay.load(state["replay"], rings)

    def _load(self, state: dict[str, Any]) -> None:
        saved_state.check_like(state["learner"], self.learner.state_dict(False), "learner")
        saved_state.check_like(state["metrics"], self.metrics.state_dict(), "metrics")
        if self.testing:
            self.testing.check(state)
        self.learner.load_state_dict(state["learner"])
        self.metrics.load_state_dict(state["metrics"])
        step = self.env.load_state_dict(state["env"])
        self.step = step if state["within_episode"] else None
        self.memory = state["memory"]
        if self.testing:
            self.testing.load_state_dict(state)
        self.resumed = state["resumed"] + 1
        self.started = datetime.fromisoformat(state["started"])
        self.spent_before = Clocks(**state["spent"])
        self.earlier_code = [made for made in state["code"] if made != self.code["hash"]]

    def finish(self, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        """Write the record and the trained policies; the checkpoints are of no more use.

        Where a seed has failed there is no record: raises `UserError`, and so does every later
        call. What the others learned lies in the checkpoint and in ``failed.parquet``. `check` is
        called before anything is written, and raises where nothing may be saved.
        """
        check()
        failed = bool(self.metrics.failures)
        if failed:
            self.save(folder)
        else:
            self._write_outcome(folder, check)
        self.env.close()
        if self.testing:
            self.testing.env.close()
        if failed:
            failure.write(folder, self.recipe, self.metrics.curve(), self.metrics.failures)

    def _write_outcome(self, folder: Path, check: Callable[[], None]) -> None:
        self._write_policies(folder / LAST, {"learner": self.learner.state_dict(replay=False)})
        if self.testing:
            self._write_policies(folder / BEST, self.testing.best.state_dict())
        gpu = torch.cuda.get_device_name() if self.device.startswith("cuda") else None
        spent = self.spent
        facts = record.provenance(
            self.recipe,
            started=self.started,
            wall_seconds=spent.wall,
            cpu_seconds=spent.cpu,
            resumed=self.resumed,
            threads=torch.get_num_threads(),
            device=self.device,
            gpu=gpu,
            vectors=vectors(),
            ran=self.code,
        )
        facts |= {"earlier_code": self.earlier_code, "networks": sizes.of(self.learner)}
        check()
        record.write(folder, self.metrics.curve(), facts)
        failure.clear(folder)
        checkpoint.clear(folder)

    def _write_policies(self, path: Path, state: dict[str, Any]) -> None:
        _io.write(path, saved_state.encode({"recipe": self.recipe.hash, **state}))
