"""Recipes from before a setting existed."""

from pathlib import Path

import pytest

from partage.config import plan
from partage.config.earlier import EARLIER, all_settings
from partage.config.recipe import Recipe
from partage.config.request import Request
from partage.config.settings import check

ROOT = Path(__file__).parents[1]
PUBLISHED = sorted((ROOT / "results/published").rglob("recipe.json"))


def test_what_is_meant_unsaid_are_settings_that_learners_have() -> None:
    learners = plan.load(ROOT).learners
    for learner, values in EARLIER.items():
        for name, value in values.items():
            assert check(learners[learner][name], value, learner) == value


def test_every_published_recipe_is_complete_with_what_it_means() -> None:
    learners = plan.load(ROOT).learners
    assert PUBLISHED
    for path in PUBLISHED:
        recipe = Recipe.load(path)
        assert all_settings(recipe).keys() == learners[recipe.learner].keys(), path


def test_a_recipe_of_today_says_all_itself() -> None:
    config = plan.load(ROOT)
    for recipe in config.recipes(config.figures.values(), Request()):
        assert all_settings(recipe) == recipe.settings


@pytest.mark.parametrize(
    ("run", "name", "value"),
    [
        ("critics-apart/runs/mdps/mpe/15a_3c/0-4", "critic_init", "apart"),
        ("critics-apart/runs/mdps-same-init/mpe/15a_3c/0-4", "critic_init", "equal"),
        ("roles-by-chance/runs/bdps/lbf/15x15-4p-5f-v2/0-2", "code", "gaussian"),
    ],
)
def test_a_published_run_means_what_the_code_did_then(run: str, name: str, value: str) -> None:
    recipe = Recipe.load(ROOT / "results/published/former" / run / "recipe.json")
    assert name not in recipe.settings and all_settings(recipe)[name] == value
