"""The command line explains itself: groups, examples, versions, names completed by Tab."""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from small import ROOT

import partage
from partage.__main__ import main
from partage.cli import completion, options, training
from partage.cli.parser import build_parser
from partage.errors import UserError

PARSER, COMMANDS = build_parser()


def subparsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    for action in PARSER._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("no commands")


def examples() -> list[str]:
    """Every line that the help of a command gives as an example."""
    found = []
    for parser in subparsers().values():
        lines = str(parser.epilog).splitlines()
        found += [line.strip() for line in lines if line.startswith("  partage ")]
    return found


def test_the_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"partage {partage.__version__}\n"


def test_without_a_command_the_help_is_shown_and_it_is_a_mistake(capsys):
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    for name in COMMANDS.names:
        assert f"\n  {name} " in said.err


def test_an_unknown_command_is_one_sentence_with_the_nearest(capsys):
    assert main(["pln"]) == 2
    said = capsys.readouterr().err
    assert "command 'pln'" in said and "did you mean 'plan'" in said and said.count("\n") == 1


def test_help_has_the_commands_of_people_before_those_of_the_workflow(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    people, _, workflow = capsys.readouterr().out.partition(f"{options.WORKFLOW}:")
    for name in ("list", "run", "plan", "show", "distance", "verify", "report", "import"):
        assert f"\n  {name} " in people
    for name in ("train", "frame", "draw", "table", "snapshot"):
        assert f"\n  {name} " in workflow


@pytest.mark.parametrize("name", COMMANDS.names)
def test_each_command_s_help_has_an_example_of_it(capsys, name: str):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    said = capsys.readouterr().out
    assert said.startswith(f"usage: partage {name} ")
    assert f"\n  partage {name}" in said.partition("example")[2]


@pytest.mark.parametrize("line", examples())
def test_an_example_is_a_command_line_that_is_understood(line: str):
    arguments = PARSER.parse_args(shlex.split(line)[1:])
    assert callable(arguments.perform)


@pytest.mark.parametrize("line", examples())
def test_what_an_example_names_of_the_published_results_is_there(line: str):
    named = [word for word in shlex.split(line) if word.startswith("results/published")]
    assert all((ROOT / word).exists() for word in named)


@pytest.mark.parametrize("text", ["", "0", "-1", "1,-2", "few", "1,x", ","])
def test_seeds_that_are_none_are_refused(text: str):
    with pytest.raises(UserError, match="how many"):
        training.read_seeds(text)


def test_seeds_are_a_number_of_them_or_a_list():
    assert training.read_seeds("3") == [0, 1, 2]
    assert training.read_seeds("0,4,2") == [0, 4, 2]
    assert training.read_seeds("7,") == [7]


def completed(line: str, tmp_path: Path) -> list[str]:
    """What Tab offers behind `line`, as the shell asks for it."""
    answer = tmp_path / "answer"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run([sys.executable, "-m", "partage"], env=environment, check=True)
    return [name.strip() for name in answer.read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("partage sh", ["show"]),
        ("partage show mdps-l", ["mdps-literal"]),
        ("partage show mdps lbf/15", ["lbf/15x15-4p-5f-v2"]),
        ("partage plan --scale p", ["paper"]),
        ("partage list t", ["tasks"]),
    ],
)
def test_tab_completes_commands_and_names(line: str, names: list[str], tmp_path: Path):
    assert completed(line, tmp_path) == names


def test_every_argument_that_is_a_name_of_ours_is_completed():
    parser, commands = build_parser()
    completion.attach(parser)
    assert "show" in commands.names
    wanted = {"topic", "scale", "engine", "figure", "figures", "table", "snapshot", "task", "set"}
    found = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found |= {each.dest for each in command._actions if hasattr(each, "completer")}
    assert wanted | {"algorithm", "action", "references", "sweep", "live"} == found
