"""What a method does now and then comes within every run there is; where it would not, or a task
lacks what a method needs, it is refused before training.
"""

from typing import Any

import pytest
from learning import SHEETS, VARIANTS

from partage import learners
from partage.config.custom import custom_recipe
from partage.config.request import Request
from partage.config.schema import SCALES
from partage.config.tasks import LENGTH, run_values
from partage.errors import UserError
from partage.sims.contract import Spec

# two types of two agents; observations that any own state is a part of
SPEC = Spec(4, n_actions=3, obs_dim=20, state_dim=5, horizon=10, common_reward=True)
SPEC = SPEC._replace(types=(0, 0, 1, 1))
SMALL = {"hidden": 4, "mixer": 4, "hyper": 4, "buffer": 128}  # made in milliseconds
OF_STATES = {
    **dict.fromkeys(("qmix", "kaleidoscope", "snp-ps", "prism", "gradps", "ldsa", "roma"), "mixer"),
    **dict.fromkeys(("mappo", "hypermarl-mappo", "lorasa"), "critics"),
}
TOLD = [name for name in VARIANTS if LENGTH in SHEETS.learners[VARIANTS[name].learner]]


def made(variant: str, settings: dict[str, Any], spec: Spec = SPEC) -> None:
    learner = VARIANTS[variant].learner
    small = {name: x for name, x in SMALL.items() if name in SHEETS.learners[learner]}
    learners.make(learner, spec, settings | small, [0])


@pytest.mark.parametrize("variant", TOLD)
def test_what_comes_now_and_then_comes_within_the_run_on_every_task_at_every_scale(
    variant: str,
) -> None:
    found: dict[str, dict[str, Any]] = {}
    for scale in SCALES:
        for task, about in SHEETS.tasks.items():
            settings = {x.name: x.value for x in SHEETS.settings(variant, task, scale)}
            assert settings[LENGTH] == run_values(about, scale)[0]["steps"]
            found[repr(settings)] = settings
    for settings in found.values():
        made(variant, settings)


SHORT = {  # runs of the first task that end before anything of the method's own has come
    "kaleidoscope": (40_000, "two intervals of 26,000 env steps .* a run of 40,000"),
    "kaleidoscope-ppo": (40_000, "two intervals of 26,000 env steps .* a run of 40,000"),
    "kaleidoscope-kept": (200_000, "fix_at is 200,000 env steps of 200,000"),
    "gradps": (2_000, "first opened after 2,200 episodes .* a run of 2,000"),
    "hetdps": (79_999, "after 80,000 env steps .* but a run has 79,999"),
    "lorasa": (200_704, "part after 98 updates .* a run has 200,704"),
    "adaps": (80_000, "from the clustering on, after 2,000 updates .* a run has 80,000"),
}


@pytest.mark.parametrize("variant", SHORT)
def test_a_run_that_is_asked_to_be_shorter_than_that_is_refused_in_one_sentence(
    variant: str,
) -> None:
    steps, words = SHORT[variant]
    pair = variant, "mpe/15a_3c", Request(scale="lab")
    with pytest.raises(UserError, match=words):
        made(variant, custom_recipe(SHEETS, *pair, steps=steps).settings)
    made(variant, custom_recipe(SHEETS, *pair, steps=2 * steps + 2_000).settings)
    own = custom_recipe(SHEETS, *pair, steps=steps, settings={LENGTH: 0})
    assert own.settings[LENGTH] == 0, "what is asked for stands above"


@pytest.mark.parametrize("variant", OF_STATES)
def test_a_task_without_a_state_is_refused_by_who_needs_one(variant: str) -> None:
    settings = {x.name: x.value for x in SHEETS.settings(variant, "mpe/15a_3c", "lab")}
    with pytest.raises(UserError, match=f"{OF_STATES[variant]} .*this task has none"):
        made(variant, settings, SPEC._replace(state_dim=0))
    made(variant, settings)
