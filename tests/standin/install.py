"""Lay out an installed game, with the stand-in as its program."""

import sys
from pathlib import Path

from partage.sims.skirmish.data import maps

TESTS = Path(__file__).resolve().parents[1]
# A first line takes no path with a space: a shell reads these three, to Python they are a text.
SCRIPT = f"""#!/bin/sh
'''exec' "{sys.executable}" "$0" "$@"
' '''
import sys
sys.path[:0] = [{str(TESTS.parent / "src")!r}, {str(TESTS)!r}]
from standin.game import main
main(sys.argv)
"""


def lay(root: Path, build: int = 75689) -> Path:
    """Write the files that the client looks for; return `root`, to be named by ``SC2PATH``."""
    program = root / f"Versions/Base{build}/SC2_x64"
    program.parent.mkdir(parents=True)
    program.write_text(SCRIPT)
    program.chmod(0o755)
    folder = root / "Maps/SMAC_Maps"
    folder.mkdir(parents=True)
    for name in (*maps(), "32x32_flat"):
        (folder / f"{name}.SC2Map").write_text("The stand-in knows its maps by their names.")
    return root
