"""What the `make` functions of ``envs/`` share: choosing among named options, and holding a simulator to its pins."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from partage import Refusal


def choose(given: Mapping[str, Any], **known: Sequence[Any]) -> dict[str, Any]:
    """The options with defaults filled in: `known` lists each option's values, the default first.

    >>> choose({"time_limit": "terminal"}, time_limit=("truncation", "terminal"), reward=("team", "individual"))
    {'time_limit': 'terminal', 'reward': 'team'}
    """
    for name, value in given.items():
        if name not in known:
            raise Refusal(f"Unknown option {name!r}: expected one of {', '.join(known)}.")
        one_of(f"option {name}", value, known[name])
    return {name: given.get(name, values[0]) for name, values in known.items()}


def one_of(what: str, value: Any, known: Iterable[Any]) -> None:
    """Refuse a value that is not among the known ones."""
    known = list(known)
    if value not in known:
        raise Refusal(f"Unknown {what} {value!r}: expected one of {', '.join(map(str, known))}.")


def dependencies(file: str | Path) -> list[str]:
    """What the PEP 723 header of a script asks for: ``["lbforaging==2.0.0"]``."""
    header = re.search(r"^# /// script$\n((?:^#.*$\n)+?)^# ///$", Path(file).read_text(encoding="utf-8"), re.MULTILINE)
    if header is None:
        return []
    lines = "".join(line[2:] + "\n" for line in header[1].splitlines())
    return tomllib.loads(lines).get("dependencies", [])


def pins(file: str | Path) -> dict[str, str]:
    """The exact versions among them: ``{"lbforaging": "2.0.0"}``."""
    return dict(pin.split("==") for pin in dependencies(file) if "==" in pin)


def require(file: str | Path, remedy: str = "", why: Mapping[str, str] | None = None) -> None:
    """Refuse to go on unless the packages pinned in the file's header are installed in just those versions.

    `remedy` is the command that installs them (by default pip's), `why` what another version of a package breaks.
    """
    for package, version in pins(file).items():
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != version:
            reason = f" ({why[package]})" if why and package in why else ""
            command = remedy or f"pip install {package}=={version}"
            raise Refusal(f"engine='package' needs {package} {version}, found {found}{reason}: run `{command}`.")
