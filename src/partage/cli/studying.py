"""The command that begins a study of one's own: ``new``."""

import argparse
import shutil
import tempfile
from pathlib import Path

import partage
from partage.cli import options
from partage.config import study
from partage.config.names import check_name
from partage.errors import UserError, program

EXAMPLE = Path(study.__file__).parent / "new_study"  # what a new study is a copy of
NAME, NO_VERSION = "my-study", "0.0.0"  # as its texts have them
PROFILES = study.SNAKEFILE.parent / "profiles"


def add_commands(commands: options.Commands) -> None:
    """Add the command that begins a study."""
    parser = commands.add(
        "new",
        new,
        "begin a study: a folder for methods, environments and figures of your own",
        f"new {NAME}",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder to make")


def new(arguments: argparse.Namespace) -> None:
    """Make a study that trains and draws as it stands. It is there whole, or not at all."""
    folder: Path = arguments.folder
    check_name("a study's name", folder.name, folder)
    if folder.is_symlink() or folder.exists():
        raise UserError(f"There is a {folder} already: name a folder that does not exist yet.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
        made = Path(place) / folder.name
        _write(made)
        made.rename(folder)
    print(f"partage: {folder} is a study: see {folder}/README.md, or at once")
    commands = f"{program('partage', folder)} plan && {program('snakemake', folder)} --cores 2"
    print(f"  cd {folder} && {commands}")


def _write(made: Path) -> None:
    """Write the example under its new name, and the profiles of the workflow beside it."""
    for source in sorted(EXAMPLE.rglob("*")):
        inside = source.relative_to(EXAMPLE)
        if source.is_dir() or "__pycache__" in inside.parts:
            continue
        target = made / str(inside).replace("gitignore", ".gitignore")
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8").replace(NAME, made.name)
        text = text.replace(NO_VERSION, partage.__version__)
        target.write_text(text, encoding="utf-8")
    for source in PROFILES.glob("*/profile.yaml"):
        target = made / "profiles" / source.parent.name / source.name
        target.parent.mkdir(parents=True)
        shutil.copyfile(source, target)
