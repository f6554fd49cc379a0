"""What a test needs of packages that not every environment has."""

import importlib.util

import pytest

FOOTBALL = pytest.mark.skipif(
    importlib.util.find_spec("gfootball") is None,
    reason="gfootball is not installed: `make football` adds it",
)
