"""What a recipe means that is older than a setting: what the code did before it could be set.

A recipe names every setting of its learner, so that a default may change without changing what was
trained. One that was written before a setting existed lacks it, and means the value here
(standard library only).
"""

from collections.abc import Mapping

from partage.config.recipe import Recipe
from partage.config.types import Scalar

ACTOR_CRITIC: Mapping[str, Scalar] = {"critic_init": "apart"}
BDPS: Mapping[str, Scalar] = {
    "code": "gaussian",
    "unit": "none",
    "group_features": "attention",
    "test_groups": False,
    "clipping": "joint",
}
CDS: Mapping[str, Scalar] = {
    "goal_pay": 0.0,
    "predictor_training": "drawn",
    "passes": 1,
    "predict_every": 1,
    "predictor_batch": 0,
}
RODE: Mapping[str, Scalar] = {
    "representations": "learned",
    "fill": "three",
    "decoders": "one",
}
EARLIER: Mapping[str, Mapping[str, Scalar]] = {
    "a2c": ACTOR_CRITIC,
    "mdps": ACTOR_CRITIC,
    "seps": ACTOR_CRITIC,
    "bdps": BDPS,
    "cds": CDS,
    "eoi": {"individual_training": "drawn"},
    "rode": RODE,
}


def all_settings(recipe: Recipe) -> dict[str, Scalar]:
    """Return every setting that a recipe was written with, or means by not having it."""
    meant = dict(EARLIER.get(recipe.learner, {}))
    if "critic_init" in meant and recipe.settings.get("same_init"):
        meant["critic_init"] = "equal"  # then `same_init` was of the critics as well
    return {**meant, **recipe.settings}
