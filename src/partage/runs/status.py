"""How far runs are, from what trainers leave on the disk: it reads only, and needs no trainer.

A trainer says every ten seconds, in the lock's file of its run (`holding.Held.tell`), how far it
is. One that has said nothing for longer than `QUIET`, or is a dead process of this machine, is
gone: its run has stopped.
"""

import json
import os
import platform
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from partage import _io
from partage.config import outcomes
from partage.config.recipe import Recipe, run_dir
from partage.errors import UserError
from partage.runs.holding import LOCK

DONE, TRAINING, STOPPED, FAILED, WAITING = "done", "training", "stopped", "failed", "waiting"
STATES = (DONE, TRAINING, STOPPED, FAILED, WAITING)
QUIET = 900.0  # seconds: no update takes longer
HOLDER = re.compile(r"process (\d+) on (.*) since \S+")
NUMBERS = ("steps", "total", "began_at", "seconds", "at")  # that a trainer says


class State(NamedTuple):
    """How far one run is."""

    folder: Path
    recipe: Recipe
    name: str  # one of `STATES`
    share: float = 0.0  # of its steps, from 0 to 1
    seconds: float | None = None  # of wall-clock time until its end, of one that is training
    says: str = ""  # who trains it, or why it does not go on


class Told(NamedTuple):
    """What a trainer said last."""

    process: int
    node: str
    said: dict[str, Any]

    @property
    def is_at_work(self) -> bool:
        """Return whether the trainer lives, as far as can be seen from here."""
        if self.said["ended"] or time.time() - self.said["at"] > QUIET:
            return False
        return self.node != platform.node() or _lives(self.process)

    @property
    def share(self) -> float:
        """Return the share of the steps that is done, from 0 to 1."""
        return min(self.said["steps"] / max(self.said["total"], 1), 1.0)

    @property
    def seconds(self) -> float | None:
        """Return the seconds until the end, at the pace since its first update, if it has one."""
        done = self.said["steps"] - self.said["began_at"]
        if done <= 0 or self.said["seconds"] <= 0:
            return None
        return (self.said["total"] - self.said["steps"]) * self.said["seconds"] / done


def of_plan(root: Path, recipes: Iterable[Recipe]) -> list[State]:
    """Return how far each run is that is planned, below the folder of a scale and engine."""
    return [look(run_dir(root, recipe), recipe) for recipe in recipes]


def beside_plan(root: Path, planned: Iterable[State]) -> list[State]:
    """Return how far other runs are that were begun below `root` and are not done."""
    known, found = {state.folder for state in planned}, []
    for folder in outcomes.planned(root / "runs") if (root / "runs").is_dir() else []:
        if folder in known or not (folder / LOCK).is_file():
            continue
        try:
            state = look(folder, Recipe.load(folder / "recipe.json"))
        except UserError:  # whoever trains it is told
            continue
        if state.name not in (DONE, WAITING):
            found.append(state)
    return found


def look(folder: Path, recipe: Recipe) -> State:
    """Return how far the run of this recipe is that lies in `folder`, or will."""
    told = read(folder)
    if told and told.is_at_work and told.said["recipe"] == recipe.hash:
        says = f"process {told.process} on {told.node}"
        return State(folder, recipe, TRAINING, told.share, told.seconds, says)
    if outcomes.is_made(folder, recipe):
        return State(folder, recipe, DONE, 1.0)
    if failed := _failures(folder, recipe):
        return State(folder, recipe, FAILED, told.share if told else 0.0, says=failed)
    saved = any((folder / "checkpoint" / name).is_file() for name in ("a", "b"))
    if told and saved and told.said["recipe"] == recipe.hash:
        says = "goes on from its checkpoint"
        return State(folder, recipe, STOPPED, told.share, says=says)
    return State(folder, recipe, WAITING)


def read(folder: Path) -> Told | None:
    """Return what the trainer of a run said last; None where none has said anything."""
    try:
        lines = _io.read_bytes(folder / LOCK, "").decode(errors="replace").splitlines()
        holder, said = HOLDER.fullmatch(lines[0]), json.loads(lines[1])
    except (UserError, IndexError, ValueError, RecursionError):
        return None
    if holder is None or not isinstance(said, dict):
        return None
    if not all(isinstance(said.get(name), int | float) for name in NUMBERS):
        return None
    if not isinstance(said.get("ended"), bool) or not isinstance(said.get("recipe"), str):
        return None
    return Told(int(holder[1]), holder[2], said)


def _lives(process: int) -> bool:
    """Return whether there is such a process on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _failures(folder: Path, recipe: Recipe) -> str:
    """Return which seeds of this recipe's run have failed, and why; "" where none has."""
    try:
        facts = _io.read_json(folder / "failed.json", "")
    except UserError:
        return ""
    found = facts.get("failures")
    if facts.get("recipe_hash") != recipe.hash or not isinstance(found, list):
        return ""
    keys = ("seed", "env_steps", "measure", "value")
    said = []
    for one in found:
        if isinstance(one, dict):
            seed, steps, measure, value = (one.get(key) for key in keys)
            said.append(f"seed {seed} ended at {steps} env steps: {measure} became {value}")
    return "; ".join(said)
