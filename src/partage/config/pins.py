"""What a family of environments needs installed: the PEP 723 header of ``envs/<family>.py``.

Standard library only: it is also read in an image that holds nothing yet.
"""

import importlib.metadata
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partage.errors import UserError

HEADER = re.compile(r"^# /// script$\n((?:^#(?: .*)?$\n)+?)^# ///$", re.MULTILINE)


def header(file: str | Path) -> dict[str, Any]:
    """Return the table in a script's PEP 723 header; empty where it has none."""
    block = HEADER.search(Path(file).read_text(encoding="utf-8"))
    if block is None:
        return {}
    lines = [line[2:] for line in block[1].splitlines()]
    return tomllib.loads("\n".join(lines))


def dependencies(file: str | Path) -> list[str]:
    """Return what the header asks for: ``["lbforaging==2.0.0"]``."""
    return header(file).get("dependencies", [])


def package_name(requirement: str) -> str:
    """Return the package that a requirement names.

    >>> package_name("smacv2 @ git+https://github.com/oxwhirl/smacv2")
    'smacv2'
    """
    return re.split(r"[^\w.-]", requirement)[0]


def pins(file: str | Path) -> dict[str, str]:
    """Return the exact versions among the dependencies: ``{"lbforaging": "2.0.0"}``."""
    exact = [pin.split("==") for pin in dependencies(file) if "==" in pin]
    return {package: version for package, version in exact}


def require(file: str | Path, remedy: str = "", why: Mapping[str, str] | None = None) -> None:
    """Raise `UserError` unless the header's pinned packages are installed in just those versions.

    `remedy` says what to run to install them (by default pip), `why` says for some packages what
    another version breaks.
    """
    for package, version in pins(file).items():
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != version:
            reason = f" ({why[package]})" if why and package in why else ""
            command = remedy or f"`pip install {package}=={version}`"
            raise UserError(
                f"engine='package' needs {package} {version}, found {found}{reason}: run {command}."
            )
