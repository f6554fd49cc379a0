"""The environments that a recipe's runs play in."""

from partage import envs
from partage.config.recipe import Recipe
from partage.rl.rollout import Policy
from partage.sims.contract import Env, Spec, stream

# families whose simulators play on a card
ON_CARD = ("lbf", "mpe", "roll_call", "smac")


def spec(recipe: Recipe) -> Spec:
    """Return the sizes of the recipe's task."""
    probe = envs.make(recipe.task, [0], 1, engine=recipe.engine, **recipe.options)
    probe.close()
    return probe.spec


def make(recipe: Recipe, purpose: str, copies: int, device: str = "cpu") -> Env:
    """Return the recipe's task, with a random stream of its own for each seed and purpose.

    On a card play the simulators that can; the others stay on the CPU.
    """
    seeds = [stream(seed, purpose) for seed in recipe.seeds]
    options = dict(recipe.options)
    if device.startswith("cuda") and recipe.engine == "batched" and recipe.family in ON_CARD:
        options["device"] = "cuda"
    return envs.make(recipe.task, seeds, copies, engine=recipe.engine, **options)


def device_for(policy: Policy, device: str) -> str:
    """Return where a policy's environment plays: on the card that acts without being asked."""
    return device if getattr(policy, "captured", False) else "cpu"
