"""The command line: reads it, calls the command, and says a user's mistake in one sentence.

A mistake the user can mend is one sentence on standard error and exit code 2, never a traceback.
"""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

import partage
from partage.cli import (
    billing,
    catalogue,
    checking,
    completion,
    drawing,
    exchange,
    failures,
    measuring,
    references,
    reproducing,
    status,
    studying,
    sweeping,
    training,
)
from partage.cli.options import Commands
from partage.errors import UserError, one_of

MISTAKE, INTERRUPTED = 2, 130  # exit codes
DESCRIPTION = "Who should share parameters with whom, and does it help?"
EPILOG = """`partage COMMAND --help` has a command's options, and an example.
Tab completes commands and names after: eval "$(register-python-argcomplete partage)"
"""


class Parser(argparse.ArgumentParser):
    """A parser whose help is written whole or is an error: argparse passes over a full disk."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            print(message, end="", file=file or sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:  # closed by the shell (`2>&-`): progress bars ask whether it is a screen
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (to the end)
    _print_anything()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path need not be Unicode
    parser, commands = build_parser()
    if completion.is_asked_for():
        completion.complete(parser)
    if not words:
        parser.print_help(sys.stderr)
        return MISTAKE
    try:
        if not words[0].startswith("-"):
            one_of("command", words[0], commands.names)
        arguments = parser.parse_args(words)
        code = arguments.perform(arguments) or 0
        failures.flush()
        return code
    except UserError as mistake:
        return _refuse(str(mistake))
    except BrokenPipeError:  # `partage plan | head`
        failures.forget_output()
        return 0
    except KeyboardInterrupt:
        print("partage: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except failures.FAILURES as error:
        sentence = failures.explain(error)
        if sentence is None:
            raise
        if isinstance(error, OSError):
            failures.forget_output()
        return _refuse(sentence)


def _print_anything() -> None:
    """Have a letter that the terminal's encoding lacks printed as another, not end a command."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _refuse(sentence: str) -> int:
    """Say a mistake on standard error, if there is one."""
    with contextlib.suppress(OSError):
        print(f"partage: {failures.one_line(sentence)}", file=sys.stderr, flush=True)
    return MISTAKE


def build_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser of the whole command line, and its commands."""
    parser = Parser(
        "partage",
        usage="partage [--help] [--version] COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"partage {partage.__version__}")
    commands = Commands(parser)
    topics = (catalogue, billing, status, reproducing, training, sweeping, measuring, checking)
    for topic in (*topics, exchange, references, drawing, studying):
        topic.add_commands(commands)
    parser.description = f"{DESCRIPTION}\n{commands.overview()}"
    return parser, commands
