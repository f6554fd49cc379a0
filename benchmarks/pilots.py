"""Pilots of the methods of 2023 to 2026: each on one task of its paper's kind, three seeds.

``python -m benchmarks.pilots`` prints the table of docs/methods.md and draws the picture beside it,
of the published runs. ``--train`` first trains, into ``--results``, what is not there yet:
hours of one core. Each method stands beside full sharing with an id and no sharing, on its own
network. Three seeds of half a million steps say whether a method learns there, not whether it is
better.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from partage.analysis import series
from partage.plots import files, style

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs/pilots.png"
PUBLISHED = ROOT / "results/published"
STEPS, SEEDS = 500_000, 3
NONE, WITH_ID = style.FAINT, style.INK  # controls: colours
METHODS = [style.GROUPS[place] for place in (3, 0, 2)]
TRAIN, TEST = "train_return", "test_return"
AXES = {TRAIN: "return while training", TEST: "return of greedy tests"}


class Curve(NamedTuple):
    """One algorithm of a pilot."""

    algorithm: str
    label: str
    colour: str
    settings: str = ""  # other than the standard ones: name=value

    @property
    def folder(self) -> str:
        """Return what its runs' folder is called."""
        settings = f"+{self.settings}" if self.settings else ""
        return f"{self.algorithm}{settings}+steps={STEPS}"


class Pilot(NamedTuple):
    """One task, and what is trained on it."""

    task: str
    metric: str
    curves: Sequence[Curve]


def _controls(with_id: str, none: str) -> list[Curve]:
    return [Curve(with_id, "one, with id", WITH_ID), Curve(none, "one each", NONE)]


PILOTS = [
    Pilot(
        "mpe/15a_3c",
        TRAIN,
        [
            Curve("adaps", "AdaPS", METHODS[0]),
            Curve("seps", "SePS", METHODS[1]),
            *_controls("fps-id", "nps"),
        ],
    ),
    Pilot(
        "vmas/dispersion-4",
        TRAIN,
        [
            Curve("hypermarl", "HyperMARL", METHODS[0]),
            Curve("kaleidoscope-ppo", "Kaleidoscope on PPO", METHODS[1]),
            *_controls("ippo-id", "ippo-ns"),
        ],
    ),
    Pilot(
        "games/specialisation-8x8-10",
        TRAIN,
        [Curve("hypermarl", "HyperMARL", METHODS[0]), *_controls("ippo-id", "ippo-ns")],
    ),
    Pilot(
        "smac/3s5z",
        TRAIN,
        [
            Curve("lorasa", "LoRASA", METHODS[0]),
            Curve("mappo", "one, with id", WITH_ID, "sharing=id"),
            Curve("mappo", "one each", NONE, "sharing=none"),
        ],
    ),
    Pilot(
        "lbf/15x15-4p-5f-v2",
        TEST,
        [
            Curve("snp-ps", "SNP-PS", METHODS[0]),
            Curve("prism", "Prism", METHODS[1]),
            *_controls("qmix-1r3", "qmix-ns-1r3"),
        ],
    ),
    Pilot(
        "smac/MMM2",
        TEST,
        [
            Curve("gradps", "GradPS", METHODS[0]),
            Curve("ldsa", "LDSA", METHODS[1]),
            Curve("roma", "ROMA", METHODS[2]),
            *_controls("qmix", "qmix-ns"),
        ],
    ),
    Pilot(
        "smacv2/terran_5_vs_5",
        TEST,
        [
            Curve("kaleidoscope", "Kaleidoscope", METHODS[0]),
            *_controls("qmix-1r3", "qmix-ns-1r3"),
        ],
    ),
]

COLUMNS = 4  # of the picture
SMOOTH = 0.05  # curves are moving means over this share of the x axis


def folder_of(results: Path, task: str, curve: Curve) -> Path:
    """Return where the runs of one algorithm on a task lie."""
    return results / "lab/runs" / curve.folder / task


def seeds(results: Path, task: str, curve: Curve, metric: str) -> pd.DataFrame:
    """Return a metric by environment steps (rows) and seed (columns), as measured."""
    paths = folder_of(results, task, curve).glob("*/curve.parquet")
    rows = pd.concat([pd.read_parquet(path) for path in paths])
    of_metric = rows[rows["metric"] == metric]
    return of_metric.pivot(index="env_steps", columns="seed", values="value")


def missing(results: Path) -> list[tuple[str, Curve]]:
    """Return the tasks and algorithms whose runs are not finished."""
    wanted = [(pilot.task, curve) for pilot in PILOTS for curve in pilot.curves]
    return [
        (task, curve)
        for task, curve in wanted
        if not any(folder_of(results, task, curve).glob("*/record.json"))
    ]


def train(results: Path) -> None:
    """Train what is not there yet."""
    for task, curve in missing(results):
        command = [sys.executable, "-m", "partage", "run", curve.algorithm, task]
        command += ["--scale", "lab", "--results", str(results)]
        command += ["--seeds", str(SEEDS), "--steps", str(STEPS)]
        command += ["--set", curve.settings] if curve.settings else []
        subprocess.run(command, check=True)


def table(results: Path) -> str:
    """Return each seed's end of training, as markdown; of each task the highest mean first."""
    lines = ["| task | | ends of the seeds | mean |", "|---|---|---|---:|"]
    for pilot in PILOTS:
        ends = {curve: _ends(results, pilot, curve) for curve in pilot.curves}
        task = f"{pilot.task}, {AXES[pilot.metric]}"
        for curve in sorted(pilot.curves, key=lambda curve: -statistics.mean(ends[curve])):
            each = ", ".join(map(_number, ends[curve]))
            mean = _number(statistics.mean(ends[curve]))
            lines.append(f"| {task} | {curve.label} (`{curve.algorithm}`) | {each} | {mean} |")
            task = ""
    return "\n".join(lines)


def _ends(results: Path, pilot: Pilot, curve: Curve) -> list[float]:
    """Return what each seed ends at, the lowest first."""
    measured = seeds(results, pilot.task, curve, pilot.metric)
    steps = measured.index.to_numpy()
    return sorted(series.final(steps, measured[seed].to_numpy()) for seed in measured)


def _number(value: float) -> str:
    """Return three digits of a value, and no decimals of a hundred or more."""
    return f"{value:#.0f}".rstrip(".") if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def draw(results: Path) -> Canvas:
    """Return the picture: a panel for each task."""
    with style.drawing():
        rows = -(-len(PILOTS) // COLUMNS)
        canvas = Canvas(figsize=(3.1 * COLUMNS, 2.9 * rows), dpi=style.DPI, layout="constrained")
        panels = canvas.subplots(rows, COLUMNS).flatten()
        for axes, pilot in zip(panels, PILOTS, strict=False):
            _draw_panel(axes, results, pilot)
        for axes in panels[len(PILOTS) :]:
            axes.axis("off")
        return canvas


def _draw_panel(axes: Axes, results: Path, pilot: Pilot) -> None:
    for curve in reversed(pilot.curves):  # methods above controls
        measured = seeds(results, pilot.task, curve, pilot.metric)
        steps = measured.index.to_numpy()
        smooth = [(steps, series.smooth(steps, measured[x].to_numpy(), SMOOTH)) for x in measured]
        grid, lines = series.align(smooth)  # seeds are measured at steps of their own
        thousands = grid / 1000
        axes.plot(thousands, lines.T, color=curve.colour, linewidth=0.6, alpha=0.4)
        mean = lines.mean(axis=0)
        axes.plot(thousands, mean, color=curve.colour, linewidth=1.8, label=curve.label)
    simulated = " (simulator)" if pilot.task.startswith("smac") else ""
    axes.set_title(pilot.task + simulated, fontsize=9)
    axes.set_ylabel(AXES[pilot.metric], fontsize=8)
    axes.set_xlabel("thousand environment steps", fontsize=8)
    axes.legend(fontsize=7, frameon=False, reverse=True)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Train what is asked for, print the table, and write the picture."""
    parser = argparse.ArgumentParser("python -m benchmarks.pilots", description=__doc__)
    parser.add_argument("--results", type=Path, default=PUBLISHED, help="whose runs are shown")
    parser.add_argument("--train", action="store_true", help="first train what is not there")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where it is written")
    asked = parser.parse_args()
    if asked.train:
        train(asked.results)
    if lacking := missing(asked.results):
        task, curve = lacking[0]
        wanted = sum(len(pilot.curves) for pilot in PILOTS)
        parser.error(
            f"expected finished runs of {wanted} algorithms below {asked.results}, but "
            f"{len(lacking)} are not there, as {curve.folder} on {task}: add --train"
        )
    print(table(asked.results))
    files.save(draw(asked.results), asked.picture)
    print(f"drawn: {asked.picture.name}")


if __name__ == "__main__":
    main()
