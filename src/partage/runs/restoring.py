"""A training's state: what each cell saves of it, and how a pack goes on from what cells saved."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partage.config.recipe import Recipe
from partage.rl.packing import Ring
from partage.runs import checkpoint, environments, saved_state, splitting
from partage.runs.cells import Cell
from partage.runs.holding import Held
from partage.runs.process import Clocks
from partage.runs.testing import check_best

if TYPE_CHECKING:
    from partage.runs.train import Training

SHARED = ("learner", "env", "test_env", "memory")  # what a pack has as one, and cells a part of


def state(training: "Training") -> dict[str, Any]:
    """Return what the pack has in common, or as one."""
    testing, replay = training.testing, training.replay
    return {
        "learner": training.learner.state_dict(replay=replay is None),
        "replay": None if replay is None else replay.packing.state_dict(),
        "env": training.env.state_dict(),
        "test_env": testing.env.state_dict() if testing else None,
        "within_episode": training.step is not None,
        "memory": training.memory,
    }


def of_cell(whole: Mapping[str, Any], training: "Training", cell: Cell) -> dict[str, Any]:
    """Return all that a cell needs to go on, by itself or in any pack."""
    parts = {}
    for name in SHARED:
        like = None if cell.alone else like_of(cell, name, training)
        parts[name] = cell.of_state(whole[name], like)
    return {
        **whole,
        **parts,
        "recipe": cell.recipe.hash,
        "metrics": cell.metrics.state_dict(),
        "best": cell.best.state_dict() if training.testing else None,
        "resumed": cell.resumed,
        "code": [*cell.earlier_code, training.code["hash"]],
        "started": cell.started.isoformat(),
        "spent": cell.spent(training.spent)._asdict(),
    }


def like_of(cell: Cell, name: str, training: "Training") -> Any:
    """Return a fresh state of the kind that the cell would save if it were alone."""
    if name == "learner":
        return cell.like
    if name not in ("env", "test_env") or (name == "test_env" and not cell.recipe.test_every):
        return None
    copies = cell.pack.copies if name == "env" else cell.recipe.test_episodes
    plays_on = environments.device_for(cell.pack.policy, training.device)
    env = environments.make(cell.recipe, "env", copies, plays_on)
    found = env.state_dict()
    env.close()
    return found


def resume(training: "Training", folders: Sequence[Path]) -> None:
    """Go on from the last whole checkpoint of each cell's very recipe, if there are any."""
    found: list[tuple[dict[str, Any], list[Ring]]] = []
    for cell, folder in zip(training.cells, folders, strict=True):
        saved = checkpoint.load_whole(folder)
        if saved is None:
            continue
        own = _decoded(saved.payload, folder)
        with checkpoint.fits_todays_code(folder / "checkpoint"):
            if own["recipe"] != cell.recipe.hash:
                print(f"partage: the checkpoint in {folder} is another recipe's; starting anew.")
                checkpoint.clear(folder)
                continue
        cell.stored = saved.stored
        found.append((own, saved.rings))
    if not found:
        return
    with checkpoint.fits_todays_code(folders[0] / "checkpoint"):
        _load(training, [own for own, _ in found], [rings for _, rings in found])
    if any(cell.earlier_code for cell in training.cells):
        print("partage: going on from a checkpoint that other code wrote; the record says so.")


def _decoded(payload: bytes, folder: Path) -> dict[str, Any]:
    return saved_state.decode(payload, f"What lies in {folder}/checkpoint is", checkpoint.ANEW)


def _load(
    training: "Training", states: Sequence[dict[str, Any]], rings: Sequence[list[Ring]]
) -> None:
    """Take over what the cells have saved. Raises what `checkpoint.fits_todays_code` catches."""
    learner, testing, alone = training.learner, training.testing, len(states) == 1
    fresh = state(training)
    counts = [len(cell.recipe.seeds) for cell in training.cells]
    whole = dict(states[0])
    for name in SHARED:
        if not alone:
            whole[name] = splitting.joined([own[name] for own in states], fresh[name], counts)
    if training.replay is not None:
        if "replay" in whole["learner"]:
            raise ValueError("older code kept its episodes in another way")
        of_all = [ring for of_cell in rings for ring in of_cell]
        training.replay.load(whole["replay"], of_all)
    saved_state.check_like(whole["learner"], learner.state_dict(False), "learner")
    for cell, own in zip(training.cells, states, strict=True):
        saved_state.check_like(own["metrics"], cell.metrics.state_dict(), "metrics")
        if testing:
            check_best(own["best"], cell)
    learner.load_state_dict(whole["learner"])
    step = training.env.load_state_dict(whole["env"])
    training.step = step if whole["within_episode"] else None
    training.memory = whole["memory"]
    if testing:
        testing.env.load_state_dict(whole["test_env"])
    for cell, own in zip(training.cells, states, strict=True):
        cell.metrics.load_state_dict(own["metrics"])
        if testing:
            cell.best.load_state_dict(own["best"])
        cell.resumed = own["resumed"] + 1
        cell.started = datetime.fromisoformat(own["started"])
        cell.spent_before = Clocks(**own["spent"])
        cell.earlier_code = [made for made in own["code"] if made != training.code["hash"]]


def in_step(todo: Sequence[tuple[Recipe, Held]]) -> list[list[tuple[Recipe, Held]]]:
    """Return runs in packs that stand at the same update.

    A kill may come between the checkpoints of two cells of a pack, and a cell may have been trained
    in part by itself: what does not stand where others do is trained in a pack of its own.
    """
    if len(todo) < 2:
        return [[each] for each in todo]
    packs: dict[str, list[tuple[Recipe, Held]]] = {}
    for recipe, held in todo:
        packs.setdefault(_stands(recipe, held.run_dir), []).append((recipe, held))
    return list(packs.values())


def _stands(recipe: Recipe, folder: Path) -> str:
    """Return where the checkpoint in a folder stands, and how it keeps episodes; "" for none."""
    payload = checkpoint.load(folder)
    if payload is None:
        return ""
    own = _decoded(payload, folder)
    with checkpoint.fits_todays_code(folder / "checkpoint"):
        if own["recipe"] != recipe.hash:
            return ""
        return repr((own["metrics"]["updates"], own["replay"], own["within_episode"]))
