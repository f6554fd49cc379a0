"""The environments that a recipe's runs play in."""

from partage import envs
from partage.config.recipe import Recipe
from partage.sims.contract import Env, Spec, stream


def spec(recipe: Recipe) -> Spec:
    """Return the sizes of the recipe's task."""
    probe = envs.make(recipe.task, [0], 1, engine=recipe.engine, **recipe.options)
    probe.close()
    return probe.spec


def make(recipe: Recipe, purpose: str, copies: int) -> Env:
    """Return the recipe's task, with a random stream of its own for each seed and purpose."""
    seeds = [stream(seed, purpose) for seed in recipe.seeds]
    return envs.make(recipe.task, seeds, copies, engine=recipe.engine, **recipe.options)
