"""Breaks config files, command lines and result files at random, and looks what is said:
``python -m benchmarks.fuzz [--sheets 1000] [--commands 500] [--seed 0]``.

Counted are tracebacks, commands that took longer than ten seconds, broken config files that were
taken although the schema forbids them, and files written outside the results' folder. Exits with 1
where there is one. What came out stands in docs/reliability.md.
"""

import argparse
import contextlib
import io
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import mutations
from partage.cli.parser import build_parser, main
from partage.config import plan
from partage.plots import curves, distances, pitch, sharing
from partage.report import build
from partage.runs import code_comparison, evaluate, train, verify

# what commands load when they need it: not a part of what is timed
LOADED = (curves, distances, pitch, sharing, build, code_comparison, evaluate, train, verify)

LIMIT = 10  # seconds that a command may take
PAIR = ("fps", "lbf/8x8-2p-2f-coop-v3")
NOBODY = 65534  # whom file permissions bind


class Outcome(NamedTuple):
    """How a command ended."""

    code: int | None  # None: by an exception
    said: str
    late: bool


class TookTooLong(Exception):
    """Raised by the alarm."""


def attempt(words: Sequence[str]) -> Outcome:
    """Call the command line in this process, at most `LIMIT` seconds."""
    said, code, late = io.StringIO(), None, False

    def stop(*_: object) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main(list(words))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except TookTooLong:
            late = True
        except BaseException:
            traceback.print_exc()
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
    return Outcome(code, said.getvalue(), late)


class Tally:
    """What was tried, and what should not have been."""

    def __init__(self, place: Path) -> None:
        self.place, self.count = place, Counter[str]()
        self.wrong: list[str] = []
        self.before = self.outside()

    def outside(self) -> set[Path]:
        """Return all files of the place that lie in no results' folder."""
        paths = [path for path in self.place.rglob("*") if path.is_file()]
        return {path for path in paths if "results" not in path.parts and "src" not in path.parts}

    def note(self, what: str, words: Sequence[str], found: Outcome, forbidden: str = "") -> None:
        """Count one outcome; `forbidden` says why it had to be refused."""
        self.count[what] += 1
        faults = {
            "traceback": "Traceback" in found.said or (found.code is None and not found.late),
            "late": found.late,
            "accepted": bool(forbidden) and found.code == 0,
            "outside": self.outside() != self.before,
        }
        for name, true in faults.items():
            if true:
                self.count[name] += 1
                tail = found.said.strip().splitlines()[-3:]
                self.wrong.append(f"{name}: {what} {forbidden} {list(words)!r}: {tail}"[:600])


def checkout(root: Path) -> Path:
    """Write what a plan is read from: learners and config files."""
    for folder in ("learners", "rl", "sharing", "config/sheets"):
        source = plan.PACKAGE / folder
        shutil.copytree(source, root / "src/partage" / folder, ignore=mutations.NO_CACHE)
    return root


@contextlib.contextmanager
def planned_by(root: Path) -> Iterator[None]:
    """Let commands read the config files of a checkout."""
    real, here = plan.PACKAGE, Path.cwd()
    plan.PACKAGE = root / "src/partage"
    os.chdir(root)
    try:
        yield
    finally:
        plan.PACKAGE = real
        os.chdir(here)


def break_sheets(place: Path, count: int, rng: random.Random, tally: Tally) -> None:
    """Plan with config files of which one is broken."""
    root = checkout(place / "sheets")
    tally.before = tally.outside()
    folder = root / "src/partage/config/sheets"
    kept = {path: path.read_bytes() for path in folder.glob("*.toml")}
    with planned_by(root):
        for _ in range(count):
            path = rng.choice(sorted(kept))
            text, forbidden = mutations.sheet(kept[path].decode(), path.stem, rng)
            path.write_bytes(text)
            words = ["plan", "--write", "--results", "results"]
            tally.note(f"sheet {path.name}", words, attempt(words), forbidden)
            path.write_bytes(kept[path])
            shutil.rmtree("results", ignore_errors=True)


def break_commands(place: Path, count: int, rng: random.Random, tally: Tally) -> None:
    """Give command lines of odd words."""
    root = checkout(place / "commands")
    tally.before = tally.outside()
    names = build_parser()[1].names
    with planned_by(root):
        for _ in range(count):
            words = mutations.command(names, rng)
            tally.note("command", words, attempt(words))


def break_files(place: Path, rng: random.Random, tally: Tally) -> None:
    """Damage each file of a finished run in each way, and let each command read it."""
    os.chdir(place)
    for seeds in ("7,", "8,"):
        made = attempt_without_limit(["run", *PAIR, "--seeds", seeds, "--steps", "600"])
        assert made.code == 0, made.said
    run = next((place / "results").glob("smoke/runs/*/*/*/7"))
    other = run.with_name("8")
    made = attempt_without_limit(["absolute", str(run), "--episodes", "2"])
    assert made.code == 0, made.said
    tally.before = tally.outside()
    readers = mutations.readers(str(run))
    for name in mutations.FILES:
        path = run / name
        kept = path.read_bytes()
        for kind, damage in mutations.DAMAGES.items():
            damage(path, kept, other / name, rng)
            with nobody() if kind == "no permission" else contextlib.nullcontext():
                for words in readers:
                    tally.note(f"{name} {kind}", words, attempt(words))
            mutations.mend(path, kept)


def attempt_without_limit(words: Sequence[str]) -> Outcome:
    """Call the command line where compiling may take its time."""
    global LIMIT
    kept, LIMIT = LIMIT, 600
    try:
        return attempt(words)
    finally:
        LIMIT = kept


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Be a user whom file permissions bind, as root is not."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def fuzz(place: Path, sheets: int, commands: int, files: bool, seed: int) -> Tally:
    """Break so many of each in a folder; return what was found."""
    rng, tally = random.Random(seed), Tally(place)
    steps: list[Callable[[], Any]] = [
        lambda: break_sheets(place, sheets, rng, tally),
        lambda: break_commands(place, commands, rng, tally),
    ]
    if files:
        steps.append(lambda: break_files(place, rng, tally))
    for step in steps:
        step()
    return tally


def run() -> int:
    """Fuzz as the options say, and print what was found."""
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz", description=__doc__)
    for name, default in (("sheets", 1000), ("commands", 500), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked, began, here = parser.parse_args(), time.monotonic(), Path.cwd()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place = Path(folder).resolve()
        place.chmod(0o755)
        tally = fuzz(place, asked.sheets, asked.commands, True, asked.seed)
        os.chdir(here)
    for line in tally.wrong:
        print(line)
    faults = ("traceback", "late", "accepted", "outside")
    files = sum(n for what, n in tally.count.items() if what.split(" ")[0] in mutations.FILES)
    print(f"{asked.sheets} config files, {asked.commands} command lines, {files} damaged reads")
    print(", ".join(f"{name}: {tally.count[name]}" for name in faults))
    print(f"{time.monotonic() - began:.0f} s")
    return int(bool(tally.wrong))


if __name__ == "__main__":
    sys.exit(run())
