"""How much there is to compute: the arithmetic of a learner's networks on a task's sizes.

It counts multiply-adds of one pass through PyMARL's or the actor-critics' networks, as their
settings size them. What the learners of one family do besides is left out: costs are compared only
within a learner (`partage.config.costs`), where it cancels.
"""

from collections.abc import Mapping

from partage.config.calibration import Played
from partage.config.types import Scalar

Settings = Mapping[str, Scalar]
WIDE = 64  # units of a network whose settings do not say it


def is_recurrent(settings: Settings) -> bool:
    """Return whether a learner replays whole episodes; else it learns from segments."""
    return "buffer" in settings


def of_step(settings: Settings, task: Played) -> float:
    """Return the multiply-adds of choosing everybody's action once."""
    width = _number(settings, "hidden", WIDE)
    layers = 6 if is_recurrent(settings) else 2  # a GRU's six products, or two hidden layers
    return task.agents * width * (task.obs + layers * width + task.actions)


def of_update(settings: Settings, task: Played) -> float:
    """Return the multiply-adds of one pass over what an update learns from; PPO makes many."""
    if not is_recurrent(settings):
        instants = _number(settings, "copies", 1) * _number(settings, "segment", 1)
        return _number(settings, "epochs", 1) * instants * of_step(settings, task)
    instants = _number(settings, "batch", 1) * (task.longest + 1)
    return instants * (of_step(settings, task) + _of_mixer(settings, task))


def _of_mixer(settings: Settings, task: Played) -> float:
    """Return the multiply-adds of QMIX's mixer at one instant: its hypernetworks, that is."""
    units, hyper = _number(settings, "mixer", 32), _number(settings, "hyper", WIDE)
    return task.state * 2 * (units + hyper) + hyper * units * (task.agents + 1)


def of_event(settings: Settings, task: Played) -> float:
    """Return the multiply-adds of one look at all that a clustering or a distance is made of."""
    return _number(settings, "data", 0) * of_update(settings, task)


def steps_an_update(settings: Settings, task: Played) -> float:
    """Return the environment steps of a run from one update to the next."""
    each = task.length if is_recurrent(settings) else _number(settings, "segment", 1)
    return _number(settings, "copies", 1) * each


def _number(settings: Settings, name: str, default: float) -> float:
    """Return a setting that is a number."""
    return float(settings.get(name, default))
