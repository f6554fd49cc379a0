"""What holds of all tests: how annotations are checked, and which tests one worker runs.

The types and shapes of whatever goes through a function of the package are checked by jaxtyping and
beartype (`--jaxtyping-packages` in pyproject.toml). What they look at is the type of a value and,
of arrays, number type and shape: so what has passed once passes again, and is not asked about a
second time. To ask at each call takes as long as all that the learners do.

Tests of one `xdist_group` share what is costly: one worker runs them.
"""

import functools
from collections import deque
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

Kind = Any  # hashable; values of one kind pass the same checks


class Unknown(Exception):
    """Raised for a value that has no kind: its items are of several."""


class Readers(dict[type, Callable[[Any], Kind] | None]):
    """What tells the kind of a value, by its type; None where the type tells all."""

    def __missing__(self, of: type) -> Callable[[Any], Kind] | None:
        """Find it and remember it."""
        self[of] = found = self._reader(of)
        return found

    def _reader(self, of: type) -> Callable[[Any], Kind] | None:
        if issubclass(of, torch.Tensor | np.ndarray):
            return lambda x: (of, x.dtype, x.shape)
        if issubclass(of, str | type):
            return lambda x: (of, x)  # some annotations name the words, or the classes
        if issubclass(of, tuple) and not hasattr(of, "_fields"):
            return lambda x: (of, kinds(few(x)))
        if issubclass(of, list | set | frozenset | deque):
            return lambda x: (of, alike(x))
        if issubclass(of, Mapping):
            return lambda x: (of, alike(x), alike(x.values()))
        return None


READERS = Readers()


def kinds(values: Any) -> Kind:
    """Return the kinds of values, in order; raises `Unknown`."""
    return tuple([type(x) if (read := READERS[type(x)]) is None else read(x) for x in values])


def few(items: Any) -> Any:
    """Return a collection; raises `Unknown` for one that it is quicker to ask about."""
    if len(items) > 20:
        raise Unknown
    return items


def alike(items: Any) -> Kind:
    """Return the one kind of a collection's items; raises `Unknown` where there are several.

    Which items of a collection are looked at is left to chance.
    """
    found = set(kinds(few(items)))
    if len(found) > 1:
        raise Unknown
    return tuple(found)


def once_for_each_kind(function: Any, checked: Callable[[Any], Any]) -> Any:
    """Return a function that is `checked` where what goes in or comes out is new to it."""
    if not isinstance(function, FunctionType):
        return checked(function)
    returned: list[Any] = []  # what it has returned already, but nobody has checked

    def body(*args: Any, **named: Any) -> Any:
        return returned.pop() if returned else function(*args, **named)

    # in its own module: the names in annotations are those that stand there
    home = function.__globals__
    there = FunctionType(body.__code__, home, closure=body.__closure__)
    ask = checked(functools.wraps(function)(there))
    known: dict[Kind, set[Kind]] = {}  # kinds of arguments: what came of them

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        try:
            given = (kinds(args), *named, kinds(named.values())) if named else kinds(args)
        except Unknown:
            return ask(*args, **named)
        if given not in known:
            made = ask(*args, **named)
            known[given] = set()
        else:
            made = function(*args, **named)
            if kind_of_result(made) in known[given]:
                return made
            returned.append(made)
            ask(*args, **named)
        known[given] |= {kind_of_result(made)} - {None}
        return made

    return call


def kind_of_result(made: Any) -> Kind | None:
    """Return the kind of what a function returned, None where it has none."""
    read = READERS[type(made)]
    try:
        return type(made) if read is None else read(made)
    except Unknown:
        return None


def decorator(checked: Callable[..., Any]) -> Callable[..., Any]:
    """Return what jaxtyping's import hook finds in the place of its own decorator."""

    def jaxtyped(*, typechecker: Any) -> Callable[[Any], Any]:
        return lambda function: once_for_each_kind(function, checked(typechecker=typechecker))

    return jaxtyped


jaxtyping.jaxtyped = decorator(jaxtyping.jaxtyped)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Write a test's group behind its name, where pytest-xdist reads it.

    It does so itself, but to an attribute that pytest has no longer since 9.2: tests of a group
    went to all workers, and each made what they share.
    """
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group and not item.nodeid.endswith(f"@{group.args[0]}"):
            item._id = type(item.id).parse(f"{item.nodeid}@{group.args[0]}")
