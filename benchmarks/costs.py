"""The table of docs/costs.md, by the calibration the suite brings: ``python -m benchmarks.costs``.

``--measure`` measures that calibration anew on this machine first: ten minutes, which nothing else
should share.
"""

import argparse
import re
from pathlib import Path

from partage.config import bill, calibration, plan
from partage.config.calibration import Calibration
from partage.runs import calibrate

PAGE = Path(__file__).resolve().parents[1] / "docs/costs.md"
HEAD = "| figure | shows | paper scale |"
NOWHERE = Path("nowhere")  # nothing is made there


def table(text: str, made: Calibration) -> str:
    """The page with the costs of figures as the calibration has them."""
    before, head, after = text.partition(HEAD)
    rows, end, rest = after.partition("\n\n")
    lines = [_row(line, made) for line in rows.split("\n")]
    return before + head + "\n".join(lines) + end + rest


def _row(line: str, made: Calibration) -> str:
    """A row, its last cell written anew where its figures are of runs."""
    config, request = plan.load().for_scale("paper"), plan.Request(scale="paper")
    names = re.findall(r"`([\w-]+)`", line.split("|")[1]) if line.count("|") == 4 else []
    figures = [config.figures[name] for name in names if name in config.figures]
    if not figures:
        return line
    cost = bill.line("", config.recipes(figures, request), NOWHERE, made)
    steps = f"{cost.steps / 1e6:,.0f} M env steps"
    hours = f"{cost.cpu_hours:,.0f}" if cost.cpu_hours >= 10 else f"{cost.cpu_hours:.1f}"
    cells = line.split("|")
    cells[3] = f" {steps}: {hours} CPU-hours, {cost.memory:.1f} GiB "
    return "|".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.costs", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure the calibration anew first")
    if parser.parse_args().measure:
        calibrate.calibrate(calibration.SHIPPED, anew=True)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(table(text, calibration.read(calibration.SHIPPED)), encoding="utf-8")
    print(f"written: the table of costs in {PAGE}")


if __name__ == "__main__":
    main()
