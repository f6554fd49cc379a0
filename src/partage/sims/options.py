"""Choose among the named options of a family's `make`."""

from collections.abc import Mapping, Sequence
from typing import Any

from partage.errors import look_up, one_of


def choose(given: Mapping[str, Any], **known: Sequence[Any]) -> dict[str, Any]:
    """Return the options with defaults filled in; `known` has each one's values, default first.

    Raises `UserError` for an option or a value that does not exist.

    >>> choose({"time_limit": "terminal"}, time_limit=("truncation", "terminal"), reward=("team",))
    {'time_limit': 'terminal', 'reward': 'team'}
    """
    for name, value in given.items():
        one_of(f"option {name}", value, look_up(known, "option", name))
    return {name: given.get(name, values[0]) for name, values in known.items()}
