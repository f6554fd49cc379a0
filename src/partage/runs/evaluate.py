"""What one run has learned, as it is now: how far apart its policies are (MPD §1), who plays what
role when, and what its best policies are worth (Gorsane et al. 2022)."""

import io
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from partage import envs, learners
from partage.config.recipe import Recipe
from partage.distances import distance
from partage.distances.distance import Experience
from partage.errors import UserError
from partage.learners import Learner
from partage.rl.noise import generators
from partage.rl.rollout import Rollout, collect_episodes
from partage.runs import record
from partage.runs.metrics import outcomes
from partage.runs.process import prepare
from partage.sims import contract
from partage.sims.contract import Env

ABSOLUTE = (
    320  # episodes of each seed: ten times the protocol's 32 of a test   (Gorsane et al. 2022)
)


def run(folder: Path, kind: str = "wasserstein", count: int = 32) -> pd.DataFrame:
    """Distances of every pair of agents of each seed: columns seed, i, j, distance; what they are
    of in ``attrs``.

    Raises `UserError` for an unknown kind, a run without policies, too few episodes, or policies
    that are not numbers.
    """
    distance.known(kind)
    if count < 1:
        raise UserError(f"--episodes is at least 1, but is {count}.")
    recipe, policies, played = play(folder, "distance", count, explore=True)
    told = "actions"
    if kind in distance.CODED:  # the codes are those that moved this run's sharing
        told = str(recipe.settings.get("feature", told))
    matrix = measure(policies, played, kind, recipe.seeds, told)
    rows = [
        (seed, i, j, float(matrix[r, i, j]))
        for r, seed in enumerate(recipe.seeds)
        for i in range(matrix.shape[1])
        for j in range(matrix.shape[1])
    ]
    found = pd.DataFrame(rows, columns=["seed", "i", "j", "distance"])
    found.attrs = {**_facts(recipe), "kind": kind, "told": told, "episodes": count}
    return found


def episode(folder: Path) -> pd.DataFrame:
    """The sets that agents went through in one greedy episode of the first seed: columns block,
    agent, step, value.

    Raises `UserError` for a run without policies, or one in which they do not change within an
    episode.
    """
    recipe, _, played = play(folder, "episode", 1, explore=False)
    if not played.notes:
        raise UserError(
            f"In {folder} ({recipe.algorithm}) nobody's sets change within an episode: its curve says it all."
        )
    steps = int(played.filled[0, 0].sum())
    rows = [
        (block, agent, t, int(note[0, 0, t, agent]))
        for block, note in played.notes.items()
        for agent in range(note.shape[-1])
        for t in range(steps)
    ]
    found = pd.DataFrame(rows, columns=["block", "agent", "step", "value"])
    found.attrs = {**_facts(recipe), "seed": recipe.seeds[0]}
    return found


def play(folder: Path, what: str, count: int, explore: bool) -> tuple[Recipe, Learner, Rollout]:
    """Whole episodes played by the policies of a run; those of one purpose start alike each time."""
    prepare("cpu")
    recipe = Recipe.load(folder / "recipe.json")
    task, policies = _made(recipe, what, count)
    with record.fitting(folder):
        policies.load_state_dict(_state(folder, recipe))
    played = collect_episodes(
        task, policies.policy, torch.ones(len(recipe.seeds), dtype=torch.bool), explore
    )
    task.close()
    return recipe, policies, played


def absolute(folder: Path, count: int = ABSOLUTE) -> dict[str, Any]:
    """The absolute metric: each seed's policies at its best test play `count` greedy episodes that
    no test has seen.

    Returns the recipe's hash, and for each seed the steps its best policies had trained for and
    each episode's outcome. Raises `UserError` for a run that is never tested, or that has kept no
    best policies.
    """
    if count < 1:
        raise UserError(f"--episodes is at least 1, but is {count}.")
    prepare("cpu")
    recipe = Recipe.load(folder / "recipe.json")
    if not recipe.test_every:
        raise UserError(
            f"{folder} is never tested (test_every is 0), so no policy is its best: it has no absolute metric."
        )
    kept, (task, policies) = (
        _saved(folder / "best.pt", recipe),
        _made(recipe, "absolute", recipe.test_episodes),
    )
    seeds: dict[str, Any] = {}
    with record.fitting(folder):
        best = list(zip(recipe.seeds, kept["steps"], kept["states"], strict=True))
    for r, (seed, steps, state) in enumerate(best):
        if state is None:
            raise UserError(
                f"{folder} was resumed from a checkpoint of older code, which kept no best policies."
            )
        with record.fitting(folder):
            policies.load_state_dict(state)
        alone = torch.arange(len(recipe.seeds)) == r
        rounds = [
            outcomes(collect_episodes(task, policies.policy, alone, False), task.spec)
            for _ in range(-(-count // recipe.test_episodes))
        ]
        together = {
            name: torch.cat([each[name][r] for each in rounds])[:count].tolist()
            for name in rounds[0]
        }
        seeds[str(seed)] = {"env_steps": steps, **together}
    task.close()
    return {"recipe_hash": recipe.hash, "episodes": count, "seeds": seeds}


def _facts(recipe: Recipe) -> dict[str, str]:
    return {name: getattr(recipe, name) for name in ("algorithm", "task", "scale", "engine")}


def _made(recipe: Recipe, what: str, copies: int) -> tuple[Env, Learner]:
    """A task of its own for one purpose, and learners for it that have learned nothing yet."""
    make = {"engine": recipe.engine, **recipe.options}
    task = envs.make(
        recipe.task, [contract.stream(seed, what) for seed in recipe.seeds], copies, **make
    )
    return task, learners.make(recipe.learner, task.spec, recipe.settings, recipe.seeds)


def measure(
    policies: Learner, played: Rollout, kind: str, seeds: list[int], told: str = "actions"
) -> Tensor:
    """The distance matrix ``[R, N, N]`` of policies on the episodes that they played, by codes that
    tell the actions, or the "task"'s feature   (MPD §1.2)."""
    obs, actions, n = played.obs[:, :, :-1], played.actions, played.actions.shape[-1]
    streams = [
        policies.probabilities(*(x[:, :, :, m : m + 1].expand_as(x) for x in (obs, actions))).cpu()
        for m in range(n)
    ]
    everyone = torch.stack(streams, 3)  # [R, B, T, whose observations, whose policy, A]
    own = torch.diagonal(everyone, dim1=3, dim2=4).transpose(-1, -2)
    feature = played.feature[..., None, None].expand(*actions.shape, 1)
    target = distance.told(told, own, played.avail_actions[:, :, :-1], feature)
    valid = played.alive[:, :, :-1] & played.filled[..., None]
    pooled = Experience(*(x.flatten(1, 3) for x in (obs, own, target, valid)))
    distance.check(pooled)
    code = None
    if kind in distance.CODED:
        code = distance.learn(
            pooled, generators([contract.stream(seed, "distance codes") for seed in seeds])
        )
    query = everyone.flatten(1, 3)
    return distance.measure([kind], code, pooled.obs, pooled.valid, lambda part: query[:, part])[
        kind
    ]


def _state(folder: Path, recipe: Recipe) -> dict:
    """The learner's state at the run's end, or at its last checkpoint; of this very recipe."""
    file = folder / "policy.pt"
    payload = file.read_bytes() if file.is_file() else record.load_checkpoint(folder)
    if payload is None:
        raise UserError(
            f"{folder} has neither policy.pt nor a checkpoint: train it with `partage train` first."
        )
    state = _read(payload, file, recipe)
    return {name: x for name, x in state["learner"].items() if name != "replay"}


def _saved(file: Path, recipe: Recipe) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(
            f"{file} is not there: train the run to its end with today's code, which keeps its best policies."
        )
    return _read(file.read_bytes(), file, recipe)


def _read(payload: bytes, file: Path, recipe: Recipe) -> dict[str, Any]:
    folder = file.parent
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its unpickler raises
        raise UserError(
            f"The policies in {folder} are corrupt ({type(error).__name__}): train the run again."
        ) from error
    if not isinstance(state, dict) or state.get("recipe") != recipe.hash:
        raise UserError(f"The policies in {folder} are another recipe's: train the run again.")
    return state
