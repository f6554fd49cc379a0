"""What a sentence tells the user to run can be run where the user stands."""

import ast
import re
import sys
from pathlib import Path

import pytest
from small import ROOT

from partage import errors
from partage.cli.parser import build_parser
from partage.config import left_out, study
from partage.config.request import Request
from partage.errors import UserError

PACKAGE = ROOT / "src/partage"
SAID = "make it with `partage frame first --scale lab`, or `snakemake --cores 2`."


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an environment in .venv, which Python is of and which is not active."""
    for name in ("python", "partage", "snakemake"):
        executable(tmp_path / ".venv/bin" / name)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_in_a_clone_a_program_is_that_of_its_own_environment(home: Path) -> None:
    said = str(UserError(SAID))
    assert "`.venv/bin/partage frame first --scale lab`" in said
    assert "`.venv/bin/snakemake --cores 2`" in said
    assert errors.callable_here(said) == said


def test_elsewhere_a_program_is_named_by_its_whole_path(home: Path, monkeypatch) -> None:
    (home / "my study").mkdir()
    monkeypatch.chdir(home / "my study")
    assert errors.program("partage") == str(home / ".venv/bin/partage")
    assert errors.program("partage", home) == ".venv/bin/partage"
    moved = (home / ".venv").rename(home / "an environment")
    monkeypatch.setattr(sys, "executable", str(moved / "bin/python"))
    assert errors.program("partage") == f"'{moved}/bin/partage'"


def test_in_an_active_environment_a_name_is_enough_and_another_one_s_is_not_taken_for_it(
    home: Path, monkeypatch
) -> None:
    monkeypatch.setenv("PATH", f"{home}/.venv/bin:/usr/bin:/bin")
    assert str(UserError(SAID)) == SAID
    executable(home / "other/bin/partage")
    monkeypatch.setenv("PATH", f"{home}/other/bin:/usr/bin:/bin")
    assert errors.program("partage") == ".venv/bin/partage"


def test_without_a_script_of_its_own_a_program_is_a_module_of_this_python(home: Path) -> None:
    (home / ".venv/bin/partage").unlink()
    assert errors.program("partage") == ".venv/bin/python -m partage"


def test_the_workflow_is_named_where_no_snakefile_includes_it_whole(home: Path) -> None:
    named = f".venv/bin/snakemake --snakefile {study.SNAKEFILE} --cores all --config scale=lab"
    asked = f"{named} engine=batched"
    assert Request(scale="lab").workflow == asked
    (home / "Snakefile").write_text("module partage:\n    snakefile: SNAKEFILE\n")
    assert Request(scale="lab").workflow == asked
    for file in ("Snakefile", "src/partage/config/new_study/Snakefile"):
        (home / "Snakefile").write_text((ROOT / file).read_text())
        assert Request(scale="lab").workflow.startswith(".venv/bin/snakemake --cores all")
    assert left_out.longer(["a", "b"]) == (".venv/bin/partage reproduce --scale lab --figures a,b")


def sentences() -> list[str]:
    """Return the strings of the package's code, without docstrings."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        remarks = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
        }
        constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        found += [str(node.value) for node in constants if id(node) not in remarks]
    return found


def test_every_command_that_a_sentence_names_is_there() -> None:
    _, commands = build_parser()
    targets = re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text())
    said = sentences()
    named = [found for text in said for found in re.findall(r"`partage ([a-z-]+)", text)]
    made = [found for text in said for found in re.findall(r"`make (\w+)", text)]
    assert len(named) > 20 and set(named) <= set(commands.names)
    assert made and set(made) <= set(targets)
    assert not [text for text in said if ".venv/bin" in text]
