"""Refuse to go on where StarCraft II, its maps or the packages that lead it are missing or differ.

The game is Blizzard's, cannot be installed by a package, and must be the version that results are
compared in.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
from pathlib import Path

from partage.config import study
from partage.config.pins import pins
from partage.errors import UserError

VERSION = "4.10"
BUILD = "Base75689"
# sha256 of smacv2's starcraft2.py
SMACV2_RULES = "b7d81ddd20d2213f5af5b00266210b46bb78b0bd6534eb6f6e2751d0600d53fa"
# where the licence's text stands, and the archive that it opens
LICENCE = "https://github.com/Blizzard/s2client-proto#downloads"
MAPS = "https://github.com/oxwhirl/smacv2/releases/tag/maps"


def game_folder() -> Path:
    """Return where the game is, by the rule of pysc2."""
    return Path(os.environ.get("SC2PATH", "~/StarCraftII")).expanduser()


def require_game(map_name: str) -> None:
    """Raise `UserError` where the game, its version, its licence or the map is missing."""
    folder = game_folder()
    if not folder.is_dir() or not any(folder.iterdir()):
        raise not_playable(
            f"but nothing is there: read and accept the licence at {LICENCE}, then unpack the "
            f"Linux "
            f"package {VERSION} there"
        )
    program = folder / "Versions" / BUILD / "SC2_x64"
    if not program.is_file():
        require_no_other_build(folder)
    if not program.is_file() or program.stat().st_size == 0:
        raise not_playable(
            f"but what was unpacked there has no program {program}: the archive opens with a "
            f"password "
            f"that stands below its licence; accept it at {LICENCE} and unpack again"
        )
    if not os.access(program, os.X_OK):
        raise not_playable(f"but {program} may not be executed: run `chmod +x {program}`")
    map_file = folder / "Maps/SMAC_Maps" / f"{map_name}.SC2Map"
    if not map_file.is_file():
        raise not_playable(
            f"but the map {map_file} is not there: unpack SMAC_Maps.zip ({MAPS}) in "
            f"{folder / 'Maps'}"
        )


def require_no_other_build(folder: Path) -> None:
    """Raise `UserError` where builds of the game are installed, none of which is ours."""
    programs = folder.glob("Versions/Base*/SC2_x64")
    found = sorted(program.parent.name for program in programs)
    if found:
        raise not_playable(
            f"which is {BUILD}, found {', '.join(found)}: results of different versions cannot be "
            f"compared, so unpack the Linux package {VERSION} ({LICENCE})"
        )


def not_playable(why: str) -> UserError:
    """Return the error for a game that cannot be played, and why."""
    return UserError(
        f"engine='package' of smac plays StarCraft II {VERSION} in {game_folder()} "
        f"(SC2PATH names another folder), {why}."
    )


def require_packages(file: str | Path) -> None:
    """Raise `UserError` unless the packages pinned in the file's header are installed as pinned."""
    wrong: list[str] = []
    for name, wanted in pins(file).items():
        found = installed_version(name)
        if found != wanted:
            wrong.append(f"{name} {wanted}, found {found}")
    rules = smacv2_rules()
    if rules is None:
        wrong.append("smacv2, found none")
    elif hashlib.sha256(rules.read_bytes()).hexdigest() != SMACV2_RULES:
        wrong.append(f"smacv2 at its commit 577ab5a, found another ({rules} differs)")
    if wrong:
        made = "`make starcraft`, or " if study.is_clone() else ""
        raise UserError(
            f"engine='package' of smac needs {'; '.join(wrong)}: run {made}`pip "
            f"install --no-deps` each of the dependencies that stand on top of {file}."
        )


def installed_version(package: str) -> str:
    """Return the version of an installed package, or "none"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def smacv2_rules() -> Path | None:
    """Return the file that holds smacv2's rules, without importing it; None without smacv2."""
    spec = importlib.util.find_spec("smacv2")
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0], "env/starcraft2/starcraft2.py") if folders else None
