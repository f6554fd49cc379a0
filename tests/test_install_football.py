"""The script behind `make football`, as far as it goes without root, network and minutes of
compilation.
"""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from small import ROOT

STUB = """#!/bin/sh
case "$*" in
  *"%d.%d"*) echo {version} ;;
  *"import gfootball.env"*|*"version('gfootball')"*) exit {missing} ;;
  *) exec "{python}" "$@" ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What the script reads, and a folder of commands that come before the system's."""
    for name in ("containers", "src/partage/envs", "src/partage/config"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "errors.py"):
        shutil.copy(ROOT / "src/partage" / name, tmp_path / "src/partage")
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


def command(place: Path, name: str, text: str) -> Path:
    path = place / "bin" / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def install(
    place: Path, version: str = "3.11", missing: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run the script for a Python of that version."""
    python = command(
        place, "python", STUB.format(version=version, missing=missing, python=sys.executable)
    )
    environment = os.environ | {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "FOOTBALL_WHEELS": str(place),
    }
    script = [str(place / "containers/install_football.sh"), str(python)]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False)


def test_an_engine_that_plays_is_left_alone(place: Path) -> None:
    ran = install(place, missing=0)
    assert ran.returncode == 0 and ran.stdout == "football: gfootball 2.10.2 is installed already\n"


def test_a_python_it_does_not_build_with_is_refused(place: Path) -> None:
    ran = install(place, version="3.13")
    assert (
        ran.returncode == 2
        and "Python 3.11 and 3.12, but" in ran.stderr
        and "is 3.13" in ran.stderr
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_without_root_and_sudo_the_exact_command_is_printed(place: Path) -> None:
    command(place, "id", "#!/bin/sh\necho 1000\n")
    command(place, "sudo", "#!/bin/sh\nexit 1\n")
    command(place, "dpkg", "#!/bin/sh\nexit 1\n")
    command(place, "apt-get", "#!/bin/sh\nexit 1\n")
    ran = install(place)
    assert ran.returncode == 2
    line = next(line for line in ran.stderr.splitlines() if "sudo sh -c" in line)
    assert (
        "apt-get update && apt-get install --yes --no-install-recommends libsdl2-dev" in line
        and "cmake" in line
    )


def test_as_root_what_the_build_needs_is_installed_first(place: Path) -> None:
    command(place, "id", "#!/bin/sh\necho 0\n")
    command(place, "dpkg", "#!/bin/sh\nexit 1\n")
    command(place, "apt-get", f"#!/bin/sh\necho $* >> '{place}/asked'\n[ $1 = update ]\n")
    ran = install(place)
    asked = (place / "asked").read_text().splitlines()
    assert (
        ran.returncode == 2
        and asked[0] == "update"
        and asked[1].startswith("install --yes")
        and len(asked) == 2
    )
