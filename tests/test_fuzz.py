"""Broken config files and command lines: one sentence each, nothing accepted that is forbidden."""

import os
import random
from pathlib import Path

import pytest

from benchmarks import fuzz, mutations

SHEETS, COMMANDS = 40, 60


@pytest.fixture
def tally(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(fuzz, "LIMIT", 120)  # a hang, and not a busy machine, is the fault here
    here = Path.cwd()
    yield fuzz.Tally(tmp_path)
    os.chdir(here)


def test_a_broken_config_file_is_a_sentence_and_nothing_forbidden_is_accepted(
    tmp_path: Path, tally: fuzz.Tally
):
    fuzz.break_sheets(tmp_path, SHEETS, random.Random(1), tally)
    assert tally.wrong == [] and tally.count.total() == SHEETS


def test_an_odd_command_line_is_a_sentence(tmp_path: Path, tally: fuzz.Tally):
    fuzz.break_commands(tmp_path, COMMANDS, random.Random(2), tally)
    assert tally.wrong == [] and tally.count.total() == COMMANDS


def test_the_fuzz_finds_what_is_wrong(tmp_path: Path, tally: fuzz.Tally, monkeypatch):
    def stumbles(words: list[str]) -> int:
        (tmp_path / "stray").touch()
        raise KeyError(words[0])

    monkeypatch.setattr(fuzz, "main", stumbles)
    tally.note("command", ["list"], fuzz.attempt(["list"]))
    monkeypatch.setattr(fuzz, "main", lambda _: 0)
    tally.note("sheet", ["plan"], fuzz.attempt(["plan"]), forbidden="a key is missing")
    assert tally.count["traceback"] == 1 and tally.count["outside"] == 2
    assert tally.count["accepted"] == 1


def test_what_is_written_as_toml_reads_back():
    import tomllib

    value = {"a": [1, 2.5, True], "b": {"c": "\u0007é"}, "d": []}
    assert tomllib.loads(f"x = {mutations.written(value)}")["x"] == value
