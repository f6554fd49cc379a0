"""Lay out an installed game, with the stand-in as its program."""

import sys
from pathlib import Path

MAPS = (
    "bane_vs_bane", "MMM2", "5m_vs_6m", "3s_vs_5z", "2c_vs_64zg", "27m_vs_30m", "6h_vs_8z", "corridor", "3s5z_vs_3s6z",
)  # fmt: skip
TESTS = Path(__file__).resolve().parents[1]
SCRIPT = f"""#!{sys.executable}
import sys
sys.path[:0] = [{str(TESTS.parent / "src")!r}, {str(TESTS)!r}]
from standin.game import main
main(sys.argv)
"""


def lay(root: Path, build: int = 75689) -> Path:
    """The files below `root` that the client looks for; `root`, to be named by ``SC2PATH``."""
    program = root / f"Versions/Base{build}/SC2_x64"
    program.parent.mkdir(parents=True)
    program.write_text(SCRIPT)
    program.chmod(0o755)
    folder = root / "Maps/SMAC_Maps"
    folder.mkdir(parents=True)
    for name in MAPS:
        (folder / f"{name}.SC2Map").write_text("The stand-in knows its maps by their names.")
    return root
