"""What has to be installed besides (standard library only)."""

import importlib.metadata
from collections.abc import Mapping


def lacking(needs: Mapping[str, str]) -> dict[str, str]:
    """Return the packages that are not installed, of those needed, each with what installs it."""
    missing = {}
    for package, command in needs.items():
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            missing[package] = command
    return missing
