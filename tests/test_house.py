"""The house rules that a program can count: rooms, sizes, nesting, docstrings."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from small import ROOT

PACKAGE = ROOT / "src/partage"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
WIDTH = 100


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Yield each file of the package, parsed."""
    for path in FILES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def name(path: Path, node: ast.AST) -> str:
    """Return where a node stands, as an editor opens it."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def lines() -> int:
    """Return how many lines the package has."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES)


def nested_comprehensions() -> list[str]:
    """Return where a comprehension has two loops, or holds another one."""
    found = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, COMPREHENSIONS):
                inner = [
                    n for n in ast.walk(node) if isinstance(n, COMPREHENSIONS) and n is not node
                ]
                if inner or len(node.generators) > 1:
                    found.append(name(path, node))
    return found


def public_without_docstring() -> tuple[list[str], int]:
    """Return the public functions, classes and modules that lack a docstring, and how many there
    are.

    What only implements a protocol of Python or torch (``__init__``, `forward`, a property's
    setter) says nothing new and is left out; so is what is nested in a function.
    """
    lacking, total = [], 0
    for path, tree in trees():
        todo: list[tuple[ast.AST, bool]] = [(tree, True)]
        while todo:
            node, public = todo.pop()
            if public and not (isinstance(node, ast.Module) and not node.body):
                total += 1
                if ast.get_docstring(node) is None:  # type: ignore[arg-type]
                    lacking.append(name(path, node))
            if isinstance(node, (ast.Module, ast.ClassDef)):
                children = [c for c in node.body if isinstance(c, (*FUNCTIONS, ast.ClassDef))]
                todo += [(child, public and not child.name.startswith("_")) for child in children]
    return lacking, total


def function_lengths() -> dict[str, int]:
    """Return the lines of every function."""
    found = {}
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS):
                found[name(path, node)] = (node.end_lineno or node.lineno) - node.lineno + 1
    return found


def test_the_package_has_at_most_eighteen_entries() -> None:
    rooms = ROOMS - {"__init__.py", "__main__.py"}
    assert len(rooms) <= 18, sorted(rooms)


def test_every_room_says_what_it_is_for() -> None:
    for room in sorted(ROOMS):
        if (PACKAGE / room).is_dir():
            module = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))
            assert ast.get_docstring(module), room


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_longer_than_a_reader_s_patience(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 260


def test_one_statement_does_one_thing() -> None:
    found = nested_comprehensions()
    assert len(found) <= 0.5 * lines() / 1000, "\n".join(found)


def test_functions_are_short() -> None:
    lengths = function_lengths()
    p95 = statistics.quantiles(lengths.values(), n=20)[-1]
    longest = sorted(lengths, key=lambda place: -lengths[place])[:20]
    assert p95 <= 25, [f"{place}: {lengths[place]}" for place in longest]


def test_lines_fit_on_the_page() -> None:
    long = []
    for path in FILES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if len(line) > WIDTH:
                long.append(f"{path.relative_to(ROOT)}:{number}")
    assert len(long) <= 10 * lines() / 1000, "\n".join(long)


def test_what_is_public_says_what_it_does() -> None:
    lacking, total = public_without_docstring()
    assert len(lacking) <= 0.1 * total, "\n".join(lacking)
