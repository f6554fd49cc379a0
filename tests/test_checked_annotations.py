"""The tests' own checks of annotations refuse at any call what they would at the first."""

from functools import partial
from typing import Any, Literal

import pytest
import torch
from beartype import beartype
from conftest import once_for_each_kind
from jaxtyping import Float32, TypeCheckError, _decorator
from small import ROOT
from torch import Tensor

pytest_plugins = ["pytester"]

original = partial(_decorator.jaxtyped, typechecker=beartype)


def given_back(
    x: Float32[Tensor, "A B"], y: Float32[Tensor, "B"], back: Any
) -> Float32[Tensor, "A"]:
    return back


def named(word: Literal["near", "far"], numbers: list[int] | tuple[int, ...] = ()) -> int:
    return len(word)


def calls() -> tuple[Any, list[Any]]:
    """A checked function, and what it was called with past its checks."""
    seen = []

    def noted(x: Float32[Tensor, "A B"], kept: Any = None) -> Float32[Tensor, "A"]:
        seen.append(x)
        return x.sum(1)

    return once_for_each_kind(noted, original), seen


TWO, THREE = torch.zeros(2), torch.zeros(3)
GOOD = (torch.zeros(2, 3), THREE, TWO)
WRONG = {
    "another shape": (torch.zeros(2, 3), TWO, TWO),
    "another number of axes": (torch.zeros(2), THREE, TWO),
    "another number type": (torch.zeros(2, 3), THREE.double(), TWO),
    "an array of another library": (torch.zeros(2, 3).numpy(), THREE, TWO),
    "another result's shape": (torch.zeros(2, 3), THREE, THREE),
    "another result's type": (torch.zeros(2, 3), THREE, 2.0),
    "results of several kinds": (torch.zeros(2, 3), THREE, [TWO, 1]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_is_refused_however_often_what_fits_has_passed(wrong: str) -> None:
    checked = once_for_each_kind(given_back, original)
    for _ in range(3):
        assert checked(*GOOD) is TWO
        with pytest.raises(TypeCheckError):
            checked(*WRONG[wrong])


@pytest.mark.parametrize("wrong", [("nea",), (b"near",), ("near", [1.5]), ("far", ("1", "2"))])
def test_words_and_items_are_looked_at_each_time(wrong: tuple[Any, ...]) -> None:
    checked = once_for_each_kind(named, original)
    for _ in range(3):
        assert checked("near", [1, 2]) == 4 and checked("far", numbers=(1, 2)) == 3
        with pytest.raises(TypeCheckError):
            checked(*wrong)


@pytest.mark.parametrize("kept", [None, [1, "two"], {"a": 1, "b": None}])
def test_a_function_runs_once_for_each_call(kept: Any) -> None:
    checked, seen = calls()
    given = [torch.ones(n, 3) for n in (2, 2, 4, 2)]
    results = [checked(x, kept) for x in given]
    assert [len(x) for x in results] == [2, 2, 4, 2]
    assert all(one is other for one, other in zip(seen, given, strict=True))


def test_a_function_that_fails_fails_as_itself_and_leaves_nothing_behind() -> None:
    def failing(x: int) -> int:
        if x > 2:
            raise KeyError(x)
        return x

    checked = once_for_each_kind(failing, original)
    assert [checked(1), checked(2)] == [1, 2]
    for _ in range(2):
        with pytest.raises(KeyError):
            checked(3)
        assert checked(2) == 2


def test_every_function_of_the_package_is_checked() -> None:
    from partage.nn.routing import routes

    with pytest.raises(TypeCheckError):
        routes(torch.zeros(1, 2, 3), 2)  # pyright: ignore


TOGETHER = """
import os, pytest, time
pytestmark = pytest.mark.xdist_group("one")
@pytest.mark.parametrize("n", range(8))
def test_it(n):
    time.sleep(0.05)
    open("who", "a").write(f"{os.getpid()} ")
"""


def test_one_worker_runs_the_tests_of_a_group(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((ROOT / "tests/conftest.py").read_text())
    pytester.makepyfile(TOGETHER)
    pytester.runpytest_subprocess("-n2", "--dist=loadgroup").assert_outcomes(passed=8)
    assert len(set((pytester.path / "who").read_text().split())) == 1
