"""What a run has learned, as it is now.

How far apart its policies are (MPD §1), which parameter sets its agents choose when, and what its
best policies are worth (Gorsane et al. 2022).
"""

import itertools
import math
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from partage import learners
from partage.config.earlier import all_settings
from partage.config.recipe import MOST_EPISODES, Recipe
from partage.distances import distance
from partage.distances.distance import Experience
from partage.errors import UserError, at_least, at_most
from partage.learners import Learner
from partage.rl.noise import generators
from partage.rl.rollout import Rollout, collect_episodes
from partage.runs import checkpoint, divergence, environments, saved_state
from partage.runs.metrics import outcomes
from partage.runs.process import prepare
from partage.sims.contract import Env, Spec, stream

# episodes of each seed: ten times the protocol's 32 of a test   (Gorsane et al. 2022)
ABSOLUTE_EPISODES = 320


class Played(NamedTuple):
    """Whole episodes, the policies that played them, and the recipe these were trained by."""

    recipe: Recipe
    policies: Learner
    rollout: Rollout


def policy_distances(folder: Path, kind: str = "wasserstein", count: int = 32) -> pd.DataFrame:
    """Return the distances of every pair of agents of each seed, on `count` episodes of each.

    The columns are seed, i, j, distance; ``attrs`` says what they are of. Raises `UserError` for an
    unknown kind, a run without policies, too few episodes, or policies that are not numbers.
    """
    distance.known(kind)
    _check_count(count)
    recipe, policies, rollout = play(folder, "distance", count, explore=True)
    target = "actions"
    if kind in distance.CODED:  # the codes are those that moved this run's sharing
        target = str(recipe.settings.get("feature", target))
    matrices = measure(policies, rollout, kind, recipe.seeds, target)
    rows: list[tuple[int, int, int, float]] = []
    for seed, matrix in zip(recipe.seeds, matrices.tolist(), strict=True):
        agents = range(len(matrix))
        rows += [(seed, i, j, matrix[i][j]) for i, j in itertools.product(agents, agents)]
    found = pd.DataFrame(rows, columns=["seed", "i", "j", "distance"])
    found.attrs = {**_facts(recipe), "kind": kind, "target": target, "episodes": count}
    return found


def episode_choices(folder: Path) -> pd.DataFrame:
    """Return the sets that agents went through in one greedy episode of the first seed.

    The columns are block, agent, step, value. Raises `UserError` for a run without policies, or one
    in which the sets do not change within an episode.
    """
    recipe, _, rollout = play(folder, "episode", 1, explore=False)
    if not rollout.notes:
        raise UserError(
            f"In {folder} ({recipe.algorithm}) nobody's sets change within an episode: its curve "
            f"says it all."
        )
    length = int(rollout.filled[0, 0].sum())
    rows: list[tuple[str, int, int, int]] = []
    for block, note in rollout.notes.items():
        by_agent = note[0, 0, :length].long().T.tolist()
        for agent, choices in enumerate(by_agent):
            rows += [(block, agent, step, choice) for step, choice in enumerate(choices)]
    found = pd.DataFrame(rows, columns=["block", "agent", "step", "value"])
    found.attrs = {**_facts(recipe), "seed": recipe.seeds[0]}
    return found


def play(folder: Path, purpose: str, count: int, explore: bool) -> Played:
    """Play `count` whole episodes of each seed with a run's policies.

    Those of one purpose start alike each time. Raises `UserError` for a run without policies.
    """
    prepare("cpu")
    recipe = Recipe.load(folder / "recipe.json")
    env, policies = _untrained(recipe, purpose, count)
    state = _trained_state(folder, recipe)
    with checkpoint.fits_todays_code(folder):
        policies.load_state_dict(state)
    check_numbers(policies, folder, recipe, recipe.seeds)
    every_run = torch.ones(len(recipe.seeds), dtype=torch.bool)
    rollout = collect_episodes(env, policies.policy, every_run, explore)
    env.close()
    return Played(recipe, policies, rollout)


def load_policies(folder: Path, recipe: Recipe) -> tuple[Spec, Learner]:
    """Return the task's sizes and the learner of a run, as it is at the run's end.

    Raises `UserError` for a run without policies, or policies of another recipe.
    """
    env, policies = _untrained(recipe, "play", 1)
    env.close()
    state = _trained_state(folder, recipe)
    with checkpoint.fits_todays_code(folder):
        policies.load_state_dict(state)
    return env.spec, policies


def check_numbers(policies: Learner, folder: Path, recipe: Recipe, seeds: list[int]) -> None:
    """Raise `UserError` where policies of these seeds are no numbers."""
    sound = divergence.sound(policies.state_dict(replay=False), len(recipe.seeds)).tolist()
    lost = [seed for seed in seeds if not sound[recipe.seeds.index(seed)]]
    if lost:
        raise UserError(
            f"The policies in {folder} of seeds {lost} are not numbers (NaN): their training has "
            f"diverged; {divergence.CURES}, and train them again."
        )


def _check_count(count: int) -> None:
    """Raise `UserError` for a number of episodes that nobody plays."""
    at_least("--episodes", count, 1)
    at_most("--episodes", count, MOST_EPISODES, "of each seed")


def absolute(folder: Path, count: int = ABSOLUTE_EPISODES) -> dict[str, Any]:
    """Return the absolute metric: what each seed's policies at its best test are worth.

    They play `count` greedy episodes that no test has seen. Returns the recipe's hash, and for each
    seed the steps its best policies had trained for and each episode's outcome. Raises `UserError`
    for a run that is never tested, or that has no best policies.
    """
    _check_count(count)
    prepare("cpu")
    recipe = Recipe.load(folder / "recipe.json")
    if not recipe.test_every:
        raise UserError(
            f"{folder} is never tested (test_every is 0), so no policy is its best: it has no "
            f"absolute metric."
        )
    best = _best_state(folder / "best.pt", recipe)
    env, policies = _untrained(recipe, "absolute", recipe.test_episodes)
    with checkpoint.fits_todays_code(folder):
        of_seeds = list(zip(recipe.seeds, best["steps"], best["states"], strict=True))
    seeds: dict[str, Any] = {}
    for r, (seed, steps, state) in enumerate(of_seeds):
        if state is None:
            raise UserError(
                f"{folder} was resumed from a checkpoint of older code, which kept no best "
                f"policies."
            )
        with checkpoint.fits_todays_code(folder):
            policies.load_state_dict(state)
        seeds[str(seed)] = {"env_steps": steps, **_outcomes_of_run(env, policies, r, count)}
    env.close()
    return {"recipe_hash": recipe.hash, "episodes": count, "seeds": seeds}


def _outcomes_of_run(env: Env, policies: Learner, r: int, count: int) -> dict[str, list[float]]:
    """Return each outcome of `count` greedy episodes of run r alone."""
    alone = torch.arange(env.runs) == r
    found: dict[str, list[float]] = {}
    for _ in range(math.ceil(count / env.copies)):
        rollout = collect_episodes(env, policies.policy, alone, False)
        for name, values in outcomes(rollout, env.spec).items():
            found.setdefault(name, []).extend(values[r].tolist())
    return {name: values[:count] for name, values in found.items()}


def _facts(recipe: Recipe) -> dict[str, str]:
    return {name: getattr(recipe, name) for name in ("algorithm", "task", "scale", "engine")}


def _untrained(recipe: Recipe, purpose: str, copies: int) -> tuple[Env, Learner]:
    """Return a task of its own for one purpose, and a learner that has learned nothing yet."""
    env = environments.make(recipe, purpose, copies)
    return env, learners.make(recipe.learner, env.spec, all_settings(recipe), recipe.seeds)


def measure(
    policies: Learner, rollout: Rollout, kind: str, seeds: list[int], target: str = "actions"
) -> Tensor:
    """Return the distance matrix ``[R, N, N]`` of policies on the episodes that they played.

    `target` is what the codes reproduce: the actions, or the "task"'s feature   (MPD §1.2).
    """
    obs, actions = rollout.obs[:, :, :-1], rollout.actions
    everyone = _probabilities_on_all(policies, obs, actions)  # [R, B, T, whose obs, policy, A]
    own = torch.diagonal(everyone, dim1=3, dim2=4).transpose(-1, -2)
    feature = rollout.feature[..., None, None].expand(*actions.shape, 1)
    wanted = distance.code_target(target, own, rollout.avail_actions[:, :, :-1], feature)
    valid = rollout.alive[:, :, :-1] & rollout.filled[..., None]
    pooled = Experience(
        obs.flatten(1, 3), own.flatten(1, 3), wanted.flatten(1, 3), valid.flatten(1, 3)
    )
    distance.check_experience(pooled)
    code = None
    if kind in distance.CODED:
        streams = generators([stream(seed, "distance codes") for seed in seeds])
        code = distance.learn(pooled, streams)
    query = everyone.flatten(1, 3)
    by_kind = distance.measure([kind], code, pooled.obs, pooled.valid, lambda part: query[:, part])
    return by_kind[kind]


def _probabilities_on_all(policies: Learner, obs: Tensor, actions: Tensor) -> Tensor:
    """Return everyone's act probabilities on what each agent observed, ``[R, B, T, N, N, A]``.

    The first N says whose observations, the second whose policy.
    """
    on_agent = []
    for agent in range(actions.shape[-1]):
        its_obs = obs[:, :, :, agent : agent + 1].expand_as(obs)
        its_actions = actions[:, :, :, agent : agent + 1].expand_as(actions)
        on_agent.append(policies.probabilities(its_obs, its_actions).cpu())
    return torch.stack(on_agent, 3)


def _trained_state(folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Return the learner's state at the run's end, or at its last checkpoint, without replay."""
    file = folder / "policy.pt"
    payload = file.read_bytes() if file.is_file() else checkpoint.load(folder)
    if payload is None:
        raise UserError(
            f"{folder} has neither policy.pt nor a checkpoint: train it with "
            f"`partage train {folder}/recipe.json` first."
        )
    state = _read(payload, folder, recipe)
    with checkpoint.fits_todays_code(folder):
        return {name: part for name, part in state["learner"].items() if name != "replay"}


def _best_state(file: Path, recipe: Recipe) -> dict[str, Any]:
    """Return what ``best.pt`` holds."""
    if not file.is_file():
        raise UserError(
            f"{file} is not there: train the run to its end with today's code, which keeps its "
            f"best policies."
        )
    return _read(file.read_bytes(), file.parent, recipe)


def _read(payload: bytes, folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Return a saved state, which has to be of this very recipe."""
    state = saved_state.decode(payload, f"The policies in {folder} are", "train the run again.")
    if state.get("recipe") != recipe.hash:
        raise UserError(f"The policies in {folder} are another recipe's: train the run again.")
    return state
