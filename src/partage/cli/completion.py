"""Completion of commands, options and names by the shell's Tab, with argcomplete.

The shell runs this program to ask what fits, once it has been told to:
``eval "$(register-python-argcomplete partage)"``.
"""

import argparse
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from partage.cli.catalogue import TOPICS
from partage.cli.references import ACTIONS
from partage.config import plan, references
from partage.config.recipe import ENGINES, SCALES
from partage.config.request import LIVE

Completer = Callable[..., Iterable[str]]


def is_asked_for() -> bool:
    """Return whether it is the shell that runs this program, to complete a line."""
    return "_ARGCOMPLETE" in os.environ


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, and end the program."""
    import argcomplete

    attach(parser)
    argcomplete.autocomplete(parser)


def attach(parser: argparse.ArgumentParser) -> None:
    """Say of each argument that is a name of ours which names there are."""
    completers = _completers(plan.load())
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                _attach_to_command(subparser, completers)


def _attach_to_command(
    parser: argparse.ArgumentParser, completers: Mapping[str, Completer]
) -> None:
    for action in parser._actions:
        if action.dest in completers:
            setattr(action, "completer", completers[action.dest])  # noqa: B010  (argcomplete's)


def _completers(config: plan.Plan) -> dict[str, Completer]:
    """Return what completes an argument, by its name."""
    figures = [*config.figures, *config.snapshots]
    fixed = {
        "topic": TOPICS,
        "scale": SCALES,
        "engine": ENGINES,
        "figure": list(config.figures),
        "figures": ["all", *figures],
        "sweep": [name for name, each in config.figures.items() if each.kind == "sweep"],
        "table": list(config.settings_tables),
        "snapshot": list(config.snapshots),
        "algorithm": list(config.variants),
        "task": list(config.tasks),
        "action": ACTIONS,
        "live": LIVE,
        "references": sorted(path.stem for path in references.SHIPPED.glob("*.toml")),
    }
    completers: dict[str, Completer] = {}
    for name, names in fixed.items():
        completers[name] = _always(names)

    def settings(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        """Return the settings of the algorithm that stands before them: ``fuse=``."""
        variant = config.variants.get(getattr(parsed_args, "algorithm", ""))
        fields = config.learners[variant.learner] if variant else {}
        return [f"{name}=" for name in fields]

    completers["set"] = settings
    return completers


def _always(names: Iterable[str]) -> Completer:
    """Return what completes to these names, whatever stands before."""

    def completer(**_: Any) -> Iterable[str]:
        return names

    return completer
