"""The algorithms, a file each; what they have in common is the protocol `Learner`.

``learners/<name>.py`` is the learner called <name>; `_name.py` is for learners alone. A study's lie
in its own folder (`partage.config.study`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from partage.config import study
from partage.config.settings import check, read
from partage.errors import UserError, look_up
from partage.nn.per_run import of_runs
from partage.rl import graphs
from partage.rl.rollout import Policy, Rollout
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec

FOLDER = Path(__file__).parent
study.join("learners", __path__)


@runtime_checkable
class Learner(Protocol):
    """Learns R runs side by side.

    A run's losses, gradients, noise and experience never meet another's.
    """

    policy: Policy
    copies: int  # environment copies of each run it collects with
    segment: int | None  # transitions of each copy between two updates; None: whole episodes

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Take in what was collected, update, and return measures ``[R]`` by name."""
        ...

    def probabilities(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Return act probabilities ``[R, B, T, N, A]`` of each agent along its own observations.

        ``obs [R, B, T, N, O]`` and ``actions [R, B, T, N]`` are what each agent saw and did:
        recurrent policies see the last action, and take each copy for a whole episode. Availability
        is left aside; a learner of values gives their softmax.
        """
        ...

    def sharing(self) -> Mapping[str, Assignment | Shares]:
        """Return who goes through which parameter set, block by block.

        Where sets are derived from what others have too, with how much any two share.
        """
        ...

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a run needs to go on as if it had never stopped.

        Experience is in it only with `replay`.
        """
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        ...


def make(
    name: str,
    spec: Spec,
    settings: Mapping[str, Any],
    seeds: Sequence[int],
    device: str = "cpu",
) -> Learner:
    """Return the learner of ``learners/<name>.py`` with its `Settings`, one run per seed.

    A setting may be a `PerRun` where the learner's field is `Each` (`partage.config.packs`). Raises
    `UserError` for a name without a file, a setting its `Settings` does not have, or what is no
    learner.
    """
    study.join("learners", __path__)  # it may be another folder's by now
    files = study.files("learners", FOLDER)
    path = study.look_up(files, "learner", name, f"the files of {FOLDER}")
    fields = read(path)
    for key, value in settings.items():
        where = f"learner {name!r}"
        field = look_up(fields, "setting", key, where)
        for of_run in of_runs(value, 1):
            check(field, of_run, where)
    module = study.load("learners", name, path, ("Settings", "make"))
    graphs.prepare(torch.device(device))
    made = module.make(spec, module.Settings(**settings), seeds, torch.device(device))
    named = (*Learner.__annotations__, *vars(Learner))
    lacking = [x for x in named if not x.startswith("_") and not hasattr(made, x)]
    if lacking:
        raise UserError(
            f"make in {path} returned {type(made).__name__}, which lacks {', '.join(lacking)}: a "
            "learner was expected (partage.learners.Learner); does make end with return?"
        )
    return made
