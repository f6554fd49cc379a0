"""What pip is to install in a family's image, one argument a line: ``python3 pins.py core`` or
``pins.py lbf``.

The suite's own packages stand in pyproject.toml, a family's in the PEP 723 header of
``envs/<family>.py`` and nowhere else; versions that neither fixes are those of requirements.lock. A
header whose list is complete, because what its packages ask for themselves does not fit together,
says so: ``[tool.partage]``, ``no-deps = true``. Standard library only: it runs in an image that
holds nothing yet.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
from partage.config.pins import header  # noqa: E402


def wanted(family: str, root: Path = ROOT) -> list[str]:
    """Arguments of ``pip install``; none where the family needs nothing but the suite itself."""
    constrained = ["--constraint", "requirements.lock"]  # pip is run where that lies
    if family == "core":
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return [*constrained, *project["dependencies"]]
    table = header(root / f"src/partage/envs/{family}.py")
    alone = table.get("tool", {}).get("partage", {}).get("no-deps", False)
    packages = table.get("dependencies", [])
    return [*(["--no-deps"] if alone else constrained), *packages] if packages else []


if __name__ == "__main__":
    print("\n".join(wanted(sys.argv[1])))
