"""The command ``reproduce``: Snakemake's 600 lines go to a file, one bar with an estimate here."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from partage.cli import options
from partage.config import calibration, costs, outcomes, study
from partage.config.calibration import Calibration
from partage.config.plan import Plan
from partage.config.recipe import Recipe, run_dir
from partage.config.request import Request
from partage.errors import UserError

LOOK_EVERY, PLAIN_EVERY = 0.5, 30.0  # seconds between two looks, and two lines in a file
A_FIGURE = 6.0  # CPU-seconds that its frame, picture and tables take
UNKNOWN = 20.0  # CPU-seconds of a run whose cost nobody knows
TRUSTED = 60.0  # seconds for which the calibration counts as much as what is seen
WIDTH = 24  # letters of the bar
SHOWN_FAILURES, SHOWN_LINES = 3, 12


def add_commands(commands: options.Commands) -> None:
    """Add the command that makes everything."""
    parser = commands.add(
        "reproduce",
        reproduce,
        "train and draw figures, and write the page of them",
        "reproduce",
        "reproduce --scale lab --figures mpd-15a_3c --cores 8",
        "reproduce --scale paper --figures bdps-fig9 device=cuda",
        planned=True,
    )
    options.add_figures_option(parser)
    parser.add_argument(
        "--cores",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes side by side (default: the machine's cores)",
    )
    parser.add_argument(
        "config",
        nargs="*",
        metavar="KEY=VALUE",
        help="more of what snakemake takes after --config (docs/commands.md)",
    )


def reproduce(arguments: argparse.Namespace) -> int:
    """Make what is asked for; print the page's path last. Returns 1 where a rule failed."""
    given = _config(arguments)
    request = Request.of(given)
    plan = options.plan_for(request)
    ready, left_out = plan.ready(request.figures)
    if left_out:
        print(f"partage: left out: {left_out}", file=sys.stderr)
    log = request.root / "logs/reproduce.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "report", "--cores", str(arguments.cores)]
    command += study.workflow()
    command += ["--config", *(f"{key}={value}" for key, value in given.items())]
    work = Work.of(plan, request, ready)
    with log.open("w", encoding="utf-8") as file:
        code = _follow(command, file, Bar(work, arguments.cores))
    if code:
        print(explain(log), file=sys.stderr)
        return 1
    print(request.root / "report.html")
    return 0


def _config(arguments: argparse.Namespace) -> dict[str, str | int]:
    """Return what is asked for as Snakemake's --config has it: what differs from the defaults."""
    asked = options.request_of(arguments, arguments.figures)
    names = ("scale", "engine", "figures", "results", "seeds_per_run", "seed_count")
    given = {name: getattr(asked, name) for name in names}
    given = {name: value for name, value in given.items() if value != getattr(Request, name)}
    for word in arguments.config:
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"A key of --config is given as KEY=VALUE, but {word!r} has no `=`.")
        given[name] = int(value) if value.isdecimal() else value
    return given


class Work(NamedTuple):
    """What there is to do, each thing by the file that is there once it is done."""

    runs: Mapping[Path, tuple[Recipe, float]]  # run's folder -> CPU-seconds
    figures: Sequence[Path]
    began: float
    made: set[Path]  # folders of runs seen made: their records are not read at each look

    @staticmethod
    def of(plan: Plan, request: Request, names: Sequence[str]) -> "Work":
        """Return what these figures lack."""
        figures = [plan.figures[name] for name in names if name in plan.figures]
        known = calibration.find(Path(request.results))
        runs = {}
        for recipe in plan.recipes(figures, request):
            folder = run_dir(request.root, recipe)
            if not outcomes.is_made(folder, recipe):
                runs[folder] = (recipe, _seconds(recipe, known and known.calibration))
        pictures = [request.root / f"figures/{figure.name}.png" for figure in figures]
        return Work(runs, pictures, time.time(), set())

    def done(self) -> tuple[int, int, float]:
        """Return how many runs and figures are made by now, and the share of the work."""
        lacking = self.runs.keys() - self.made
        self.made.update(folder for folder in lacking if _made(folder, self.runs[folder][0]))
        seconds = sum(cost for folder, (_, cost) in self.runs.items() if folder in self.made)
        drawn = sum(_is_newer(picture, self.began) for picture in self.figures)
        share = (seconds + A_FIGURE * drawn) / max(self.cpu_seconds(), 1.0)
        return len(self.made), drawn, share

    def cpu_seconds(self) -> float:
        """Return what it takes in all."""
        return sum(cost for _, cost in self.runs.values()) + A_FIGURE * len(self.figures)


def _made(folder: Path, recipe: Recipe) -> bool:
    return (folder / "record.json").is_file() and outcomes.is_made(folder, recipe)


def _is_newer(path: Path, began: float) -> bool:
    return path.is_file() and path.stat().st_mtime >= began


def _seconds(recipe: Recipe, known: Calibration | None) -> float:
    """Return what a run costs by the calibration, in CPU-seconds."""
    if known is None or not costs.knows_speed(recipe, known):
        return UNKNOWN
    return costs.of(recipe, known).cpu_seconds


class Bar:
    """How far it is: a line that is written over on a terminal, one every half minute elsewhere."""

    def __init__(self, work: Work, cores: int) -> None:
        self.work, self.cores = work, cores
        self.began = self.written = time.monotonic()
        self.on_screen = sys.stderr.isatty()

    def show(self) -> None:
        """Write the line anew, if it is time."""
        now = time.monotonic()
        if self.on_screen:
            print(f"\r\x1b[K{self.line(now - self.began)}", end="", file=sys.stderr, flush=True)
        elif now - self.written >= PLAIN_EVERY:
            self.written = now
            print(self.line(now - self.began), file=sys.stderr, flush=True)

    def line(self, elapsed: float) -> str:
        """Return the line after so many seconds."""
        runs, figures, share = self.work.done()
        expected = max(self.work.cpu_seconds() / self.cores, 1.0)
        # at first what the calibration says, then what is seen
        trusted = min(TRUSTED, expected / 4)
        speed = (share + trusted / expected) / (elapsed + trusted)
        left = (1 - share) / speed
        filled = "#" * round(WIDTH * share)
        counts = f"{runs} of {len(self.work.runs)} runs"
        counts += f", {figures} of {len(self.work.figures)} figures"
        return f"{share:4.0%} [{filled:.<{WIDTH}}] {counts}, about {in_words(left)} left"

    def close(self) -> None:
        """End the line."""
        if self.on_screen:
            print(file=sys.stderr)


def in_words(seconds: float) -> str:
    """Return a time in words.

    >>> in_words(20), in_words(130), in_words(9000)
    ('a minute', '3 minutes', '2.5 hours')
    """
    if seconds > 5400:
        return f"{seconds / 3600:.1f} hours"
    minutes = int(seconds // 60) + 1
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _follow(command: Sequence[str], log: TextIO, bar: Bar) -> int:
    """Run Snakemake to its end, its words into a file; return its exit code.

    Whatever ends this process ends Snakemake first, and its trainers, which save checkpoints.
    """
    before = signal.signal(signal.SIGTERM, _end)
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        while process.poll() is None:
            bar.show()
            time.sleep(LOOK_EVERY)
    except (KeyboardInterrupt, SystemExit):
        os.killpg(process.pid, signal.SIGTERM)  # Snakemake starts no more, and trainers save
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        bar.close()
    return process.returncode


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def explain(log: Path) -> str:
    """Return why Snakemake failed: the rules that did, each with the last lines of its own log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    failed = re.findall(r"Error in rule (\w+):(.*?)\n\n", f"{text}\n\n", re.DOTALL)
    words = []
    for rule, block in failed[:SHOWN_FAILURES]:
        named = re.search(r"^    log: ([^\n]*?)(?: \(check log.*)?$", block, re.MULTILINE)
        own = Path(named[1]) if named else log
        words += [f"partage: the rule {rule} failed ({own}):", *_last_lines(own)]
    if not failed:
        words += ["partage: snakemake failed:", *_last_lines(log)]
    more = f" ({len(failed) - SHOWN_FAILURES} more)" if len(failed) > SHOWN_FAILURES else ""
    return "\n".join(
        [*words, f"partage: all that it said is in {log}{more}; the same command goes on."]
    )


def _last_lines(path: Path) -> list[str]:
    """Return the last lines of a log, indented."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [f"    {line}" for line in lines if line.strip()][-SHOWN_LINES:]
