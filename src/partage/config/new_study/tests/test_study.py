"""What this study brings keeps partage's contracts."""

import os
from pathlib import Path

import pytest

os.environ["PARTAGE_STUDY"] = str(Path(__file__).parents[1])  # wherever pytest is called

import partage


@pytest.mark.parametrize("algorithm", ["halves"])
def test_a_learner_keeps_the_contract(algorithm: str) -> None:
    """Packs, resuming and legal actions; a failure says which of them is broken."""
    partage.check_learner(algorithm)


@pytest.mark.parametrize("task", ["roll_call/4x2-6"])
def test_an_environment_keeps_the_contract(task: str) -> None:
    """Sizes, packs, idle copies, saving and the end of episodes."""
    partage.check_environment(task)
