"""The command line's reference, from its parser."""

import argparse

from markdown_tables import cell, table

from partage.cli.options import PEOPLE, WORKFLOW
from partage.cli.parser import build_parser

INTRODUCTION = """# Command line

Generated from the parser: what `partage COMMAND --help` prints. A mistake that can be mended is one
sentence and exit code 2; Ctrl-C is exit code 130, and what was trained by then is kept.
"""


def page() -> str:
    """Return the page: each command with its usage, arguments and examples."""
    parser, commands = build_parser()
    parsers = commands_of(parser)
    parts = [INTRODUCTION]
    for group in (PEOPLE, WORKFLOW):
        parts.append(f"## Commands {group}")
        parts += [
            command(parsers[entry.name]) for entry in commands.entries if entry.group == group
        ]
    return "\n\n".join(parts) + "\n"


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command by its name."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def command(parser: argparse.ArgumentParser) -> str:
    """Return a command's part of the page."""
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    rows = [_row(parser, action) for action in parser._actions if action.dest != "help"]
    parts = [f"### {parser.prog}", str(parser.description), f"```text\n{usage}\n```"]
    if rows:
        parts.append(table(["argument", "what it is"], rows))
    examples = str(parser.epilog).splitlines()[1:]
    parts.append("```bash\n" + "\n".join(line.strip() for line in examples) + "\n```")
    return "\n\n".join(parts)


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    """Return an argument: how it is written, and its help."""
    formatter = parser._get_formatter()
    written = formatter._format_action_invocation(action)
    said = formatter._expand_help(action) if action.help else ""
    return [f"`{cell(written)}`".replace("&lt;", "<"), cell(said)]
