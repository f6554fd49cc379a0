"""A learner by its name, its settings as keywords: ``make_learner("qmix", spec, [0], lr=5e-4)``."""

from collections.abc import Sequence

from partage.config.types import Scalar
from partage.learners import Learner, make
from partage.sims.contract import Spec


def make_learner(
    name: str, spec: Spec, seeds: Sequence[int], device: str = "cpu", **settings: Scalar
) -> Learner:
    """Return the learner of ``learners/<name>.py`` for a task of these sizes.

    One run per seed, side by side. `settings` are fields of its `Settings`; the others have their
    defaults. Raises `UserError` for a name, a setting or a value that does not exist.
    """
    return make(name, spec, settings, seeds, device)
