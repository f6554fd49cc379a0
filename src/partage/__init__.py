"""partage: who should share parameters with whom, and does it help?

A layer is a bank of parameter sets; an integer index, the assignment, says which agent goes through
which set. docs/python.md explains the names below, each of which is loaded when it is first used:
``import partage`` itself loads neither torch nor numba nor pandas.
"""

import importlib
from typing import TYPE_CHECKING, Any

from partage.config import VERSION as __version__

if TYPE_CHECKING:
    from partage.analysis.compare import compare
    from partage.envs import make as make_env
    from partage.errors import UserError
    from partage.runs.environment_contract import check_environment
    from partage.runs.learner_contract import check_learner
    from partage.runs.run import Run, load_runs, train
    from partage.wrappers.arrays import fuse_divide, policy_distance
    from partage.wrappers.dynamic_sharing import DynamicSharing
    from partage.wrappers.learner import make_learner

__all__ = [
    "DynamicSharing",
    "Run",
    "UserError",
    "__version__",
    "check_environment",
    "check_learner",
    "compare",
    "fuse_divide",
    "load_runs",
    "make_env",
    "make_learner",
    "policy_distance",
    "train",
]

# the module that each public name comes from, and what it is called there
HOMES = {
    "DynamicSharing": ("partage.wrappers.dynamic_sharing", "DynamicSharing"),
    "Run": ("partage.runs.run", "Run"),
    "UserError": ("partage.errors", "UserError"),
    "check_environment": ("partage.runs.environment_contract", "check_environment"),
    "check_learner": ("partage.runs.learner_contract", "check_learner"),
    "compare": ("partage.analysis.compare", "compare"),
    "fuse_divide": ("partage.wrappers.arrays", "fuse_divide"),
    "load_runs": ("partage.runs.run", "load_runs"),
    "make_env": ("partage.envs", "make"),
    "make_learner": ("partage.wrappers.learner", "make_learner"),
    "policy_distance": ("partage.wrappers.arrays", "policy_distance"),
    "train": ("partage.runs.run", "train"),
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used. Raises `AttributeError` for any other name."""
    if name not in HOMES:
        raise AttributeError(f"module 'partage' has no attribute {name!r}")
    module, there = HOMES[name]
    value = getattr(importlib.import_module(module), there)
    globals()[name] = value  # from now on found without this function
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted({*globals(), *__all__})
