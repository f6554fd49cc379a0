"""Read the arguments of SMAC's `StarCraft2Env`: all of them, in SMAC's order, with its defaults.

What shows and pays (observations, state, reward) is played as asked. What only the game has an
effect on (windows, replays, its version) is taken and does nothing. What would change the battles
themselves is refused but for SMAC's own value.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from partage.errors import UserError, one_of
from partage.wrappers.numbers import whole_number

# The battles are simulated by these values alone.
PLAYED = {"step_mul": 8, "move_amount": 2, "difficulty": "7", "heuristic_ai": False}

# Taken, and without effect here: debug's messages, and what SMAC itself ignores without its AI.
WITHOUT_EFFECT = (
    "game_version",
    "replay_dir",
    "replay_prefix",
    "window_size_x",
    "window_size_y",
    "heuristic_rest",
    "debug",
)


@dataclass(frozen=True)
class Arguments:
    """Hold what SMAC's class is built with; oxwhirl/smac says what each means."""

    map_name: str = "8m"
    step_mul: int = 8
    move_amount: float = 2
    difficulty: str = "7"
    game_version: str | None = None
    seed: int | None = None
    continuing_episode: bool = False
    obs_all_health: bool = True
    obs_own_health: bool = True
    obs_last_action: bool = False
    obs_pathing_grid: bool = False
    obs_terrain_height: bool = False
    obs_instead_of_state: bool = False
    obs_timestep_number: bool = False
    state_last_action: bool = True
    state_timestep_number: bool = False
    reward_sparse: bool = False
    reward_only_positive: bool = True
    reward_death_value: float = 10
    reward_win: float = 200
    reward_defeat: float = 0
    reward_negative_scale: float = 0.5
    reward_scale: bool = True
    reward_scale_rate: float = 20
    replay_dir: str = ""
    replay_prefix: str = ""
    window_size_x: int = 1920
    window_size_y: int = 1200
    heuristic_ai: bool = False
    heuristic_rest: bool = False
    debug: bool = False

    def shows_as_usual(self) -> bool:
        """Return whether agents observe what SMAC shows them by default."""
        more = self.obs_last_action or self.obs_pathing_grid or self.obs_terrain_height
        return self.obs_all_health and not (more or self.obs_timestep_number)

    def pays_as_usual(self) -> bool:
        """Return whether the team is paid as SMAC pays it by default."""
        names = [field.name for field in fields(self) if field.name.startswith("reward_")]
        return all(getattr(self, name) == getattr(Arguments, name) for name in names)


SIGNATURE = inspect.signature(Arguments).replace(return_annotation=inspect.Signature.empty)


def read_arguments(given: Sequence[Any], named: Mapping[str, Any]) -> Arguments:
    """Return SMAC's arguments, given in its order or by name.

    Raises `UserError` for one that SMAC has not, that is given twice, or whose value is none that
    it may have or that is not played here.
    """
    names = [field.name for field in fields(Arguments)]
    for name in named:
        one_of("argument of StarCraft2Env", name, names)
    if len(given) > len(names):
        raise UserError(f"StarCraft2Env has {len(names)} arguments, but {len(given)} came.")
    arguments = dict(zip(names, given, strict=False))
    twice = sorted(set(arguments) & set(named))
    if twice:
        raise UserError(f"StarCraft2Env got {', '.join(twice)} twice: by place and by name.")
    arguments |= named
    for name, value in arguments.items():
        arguments[name] = _read(name, value)
    return Arguments(**arguments)


def _read(name: str, value: Any) -> Any:
    """Return an argument's value as the type it has in `Arguments`."""
    default = getattr(Arguments, name)
    if name in WITHOUT_EFFECT:
        return value
    if name in PLAYED:
        return _played(name, value)
    if name == "seed":
        return None if value is None else whole_number("seed", value)
    if isinstance(default, str):
        return str(value)
    if isinstance(default, bool):
        one_of(f"{name}, True or False,", value, (True, False))
        return bool(value)
    return _number(name, value)


def _played(name: str, value: Any) -> Any:
    """Return the one value that is played. Raises `UserError` where another came."""
    default = PLAYED[name]
    if value != default and str(value) != default:  # a command line may have made 7 of "7"
        raise UserError(
            f"The simulator plays SMAC's {name}={default!r} only, but {value!r} came: leave it "
            f"out, or play the game itself."
        )
    return default


def _number(name: str, value: Any) -> float:
    """Return a finite number. Raises `UserError` for another value."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} of StarCraft2Env is a number, but {value!r} came.")
    if name == "reward_scale_rate" and number <= 0:
        raise UserError(f"{name} of StarCraft2Env is above 0, but {value!r} came.")
    return number
