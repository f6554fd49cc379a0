"""One recipe to one record: collect, learn, measure, save.

Only this module touches files, clocks and devices. The harness decides when to measure, never the
learner. Each run of the pack has its own step count, is measured when that count passes the next
mark, and stops when it reaches the budget; so a run's curve does not depend on its pack.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from partage import _io, learners
from partage.config import packs
from partage.config.recipe import Recipe
from partage.rl.replay import Replay
from partage.rl.rollout import Memory, Rollout, collect_episodes, collect_segment
from partage.rl.to_host import ToHost
from partage.runs import (
    cells,
    checkpoint,
    environments,
    failure,
    fitting,
    record,
    restoring,
    saved_state,
    sizes,
)
from partage.runs.cells import Cell, common
from partage.runs.holding import Held
from partage.runs.metrics import Metrics
from partage.runs.process import Clocks, Stop, prepare, vectors
from partage.runs.progress import Progress
from partage.runs.testing import Testing
from partage.sims.contract import TimeStep

CHECKPOINT_EVERY = 300.0  # seconds
LAST, BEST = "policy.pt", "best.pt"  # policies at the end, and of the best test


def run(
    path: Path,
    device: str = "cpu",
    checkpoint_every: float = CHECKPOINT_EVERY,
    wait: bool = False,
    live: str = "",
    beside: Sequence[Path] = (),
) -> None:
    """Train the recipe at `path` to its end, going on from its last checkpoint if there is one.

    With those `beside` it in one pack, which differ from it in settings that may be each run's own.
    Leaves ``curve.parquet``, ``record.json``, ``policy.pt`` and, of a run that is tested,
    ``best.pt``; `live` names logs (`live_logs`). Raises `UserError` for a recipe that cannot be
    run, a run that another process is at (or it does `wait` for that to end), a device that is not
    there; exits with 143 after SIGTERM, 130 after Ctrl-C, having saved a checkpoint.
    """
    packs.load([path, *beside])
    prepare(device)
    with contextlib.ExitStack() as locks:
        todo = []
        for each in sorted([path, *beside]):  # in one order: nobody waits in a circle
            held = locks.enter_context(record.hold(each.parent, wait))
            recipe = Recipe.load(each)  # anew: it may have been written while this process waited
            if not _is_finished(held.run_dir, recipe):
                todo.append((recipe, held))
        for pack in (in_step := restoring.in_step(todo)):
            fitting.refuse_what_does_not_fit([recipe for recipe, _ in pack], path)
        failure.after_all([partial(_train, x, device, checkpoint_every, live) for x in in_step])


def _is_finished(folder: Path, recipe: Recipe) -> bool:
    finished = record.is_finished(folder, recipe)
    if finished:
        checkpoint.clear(folder)  # a process may be killed between its last two acts
        print(f"partage: {folder} is trained already; delete that folder to train it again.")
    return finished


def _train(
    pack: Sequence[tuple[Recipe, Held]], device: str, checkpoint_every: float, live: str
) -> None:
    """Train recipes whose folders are held, side by side."""
    held = [each for _, each in pack]
    folders = [each.run_dir for each in held]
    training = Training([recipe for recipe, _ in pack], device)
    training.resume(*folders)
    # an earlier training's: from here on whoever asks for policies gets this one's
    for folder in folders:
        for name in (LAST, BEST, *record.OF_POLICIES):
            (folder / name).unlink(missing_ok=True)
    with Stop() as stop, contextlib.ExitStack() as shown:
        bars = [
            shown.enter_context(Progress(cell.recipe, each, cell.metrics, live))
            for cell, each in zip(training.cells, held, strict=True)
        ]
        saved, pause = time.monotonic(), checkpoint_every
        while training.active.any():
            training.advance()
            for bar, cell in zip(bars, training.cells, strict=True):
                bar.show(cell.metrics)
            if stop.code or time.monotonic() - saved >= pause:
                for each in held:
                    each.check()
                began = time.monotonic()
                training.save(*folders)
                saved = time.monotonic()
                pause = checkpoint.seconds_until_next(checkpoint_every, saved - began)
            if stop.code:
                for folder in folders:
                    print(f"partage: stopped; run again, {folder} goes on from its checkpoint.")
                raise SystemExit(stop.code)
    training.finish(*folders, checks=[each.check for each in held])


class Training:
    """R runs of one cell, or of several, under way: all that changes, and how it is saved."""

    def __init__(self, recipes: Recipe | Sequence[Recipe], device: str = "cpu") -> None:
        recipes = [recipes] if isinstance(recipes, Recipe) else list(recipes)
        self.recipe, settings = common(recipes)  # of the whole pack
        self.device, recipe = device, self.recipe
        spec = environments.spec(recipe)
        self.learner = learners.make(recipe.learner, spec, settings, recipe.seeds, device)
        plays_on = environments.device_for(self.learner.policy, device)
        self.env = environments.make(recipe, "env", self.learner.copies, plays_on)
        self.cells = cells.of(recipes, self.env.spec, self.learner)
        self.testing = None
        if recipe.test_every:
            test_env = environments.make(recipe, "test", recipe.test_episodes, plays_on)
            self.testing = Testing(test_env, self.learner, self.cells)
        self.to_host = ToHost(torch.device(device))
        self.step: TimeStep | None = None  # where a segment stopped; whole episodes leave none
        self.memory: Memory = None
        self.clocks_at_start = Clocks.now()
        self.code = record.code(recipe.learner, recipe.family)  # now: files may be edited later
        # the experience that is kept on the CPU
        replay = getattr(self.learner, "replay", None)
        self.replay = replay if isinstance(replay, Replay) and plays_on == "cpu" else None

    @property
    def metrics(self) -> Metrics:
        """Return what is measured of the first cell."""
        return self.cells[0].metrics

    @property
    def active(self) -> Bool[Tensor, "R"]:
        """Return which runs have steps left, and have not failed."""
        return torch.cat([cell.metrics.active for cell in self.cells])

    @property
    def spent(self) -> Clocks:
        """Return the seconds since this part of the training began."""
        now, start = Clocks.now(), self.clocks_at_start
        return Clocks(now.wall - start.wall, now.cpu - start.cpu)

    def advance(self) -> None:
        """Collect, learn, and measure the runs that passed a mark."""
        if self.metrics.updates == 0:
            self._test()
            for cell in self.cells:
                sharing = cell.of_sharing(self.learner.sharing())
                cell.metrics.log_sharing(cell.metrics.active, sharing)
        active = self.active
        rollout = self._collect(active)
        rollout, measures = self.to_host(rollout, self.learner.learn(rollout))
        for cell in self.cells:
            metrics, own, measured = cell.metrics, cell.of_rollout(rollout), cell.of_each(measures)
            metrics.count(own)
            metrics.end_what_failed(own, measured, cell.of(active), cell)
            due = metrics.pass_marks("log", cell.recipe.log_every)
            metrics.log_sharing(due, cell.of_sharing(self.learner.sharing()))
            metrics.log_training(due, measured)
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
        every = self.recipe.test_every
        due = torch.cat([cell.metrics.pass_marks("test", every) for cell in self.cells])
        if self.testing:
            self.testing.play(due)

    def save(self, *folders: Path) -> None:
        """Write a checkpoint of each cell: all that it needs to go on as if nothing had been."""
        state = restoring.state(self)
        rings = [] if self.replay is None else self.replay.rings()
        for cell, folder in zip(self.cells, folders, strict=True):
            own = saved_state.encode(restoring.of_cell(state, self, cell))
            cell.stored = checkpoint.save(folder, own, cell.of_rings(rings), cell.stored)

    def resume(self, *folders: Path) -> None:
        """Go on from the last whole checkpoints of these very recipes, if there are any."""
        restoring.resume(self, folders)

    def finish(self, *folders: Path, checks: Sequence[Callable[[], None]] = ()) -> None:
        """Write the record and the trained policies; the checkpoints are of no more use.

        Where a seed has failed there is no record: raises `UserError`, and so does every later
        call. What the others learned lies in the checkpoint and in ``failed.parquet``. `checks` are
        called before anything is written, and raise where nothing may be saved.
        """
        for check in checks:
            check()
        if any(cell.metrics.failures for cell in self.cells):
            self.save(*folders)
        self.env.close()
        if self.testing:
            self.testing.env.close()
        pairs = zip(self.cells, folders, strict=True)
        failure.after_all([partial(self._write_outcome, *pair, checks) for pair in pairs])

    def _write_outcome(
        self, cell: Cell, folder: Path, checks: Sequence[Callable[[], None]]
    ) -> None:
        if cell.metrics.failures:
            failure.write(folder, cell)
        self._write_policies(cell, folder / LAST, {"learner": cell.state_dict(replay=False)})
        if self.testing:
            self._write_policies(cell, folder / BEST, cell.best.state_dict())
        gpu = torch.cuda.get_device_name() if self.device.startswith("cuda") else None
        spent = cell.spent(self.spent)
        facts = record.provenance(
            cell.recipe,
            started=cell.started,
            wall_seconds=spent.wall,
            cpu_seconds=spent.cpu,
            resumed=cell.resumed,
            threads=torch.get_num_threads(),
            device=self.device,
            gpu=gpu,
            vectors=vectors(),
            ran=self.code,
        )
        facts |= {"earlier_code": cell.earlier_code, "networks": sizes.of(self.learner)}
        for check in checks:
            check()
        record.write(folder, cell.metrics.curve(), facts)
        failure.clear(folder)
        checkpoint.clear(folder)

    def _write_policies(self, cell: Cell, path: Path, state: dict[str, Any]) -> None:
        _io.write(path, saved_state.encode({"recipe": cell.recipe.hash, **state}))
