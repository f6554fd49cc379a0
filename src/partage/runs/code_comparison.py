"""Does the code of two commits give the same curves? Entries of ``equal-code.toml`` are made here.

Both commits are checked out into temporary git worktrees, and each trains the same small recipes
with its own code: those of published runs, cut short, with everything that happens seldom made to
happen. Each training is stopped once after a checkpoint and goes on from it.
"""

import dataclasses
import itertools
import tempfile
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from partage import _io
from partage.config import outcomes
from partage.config.plan import Plan
from partage.config.recipe import IMPORTED, Recipe, parse, run_dir
from partage.config.request import Request
from partage.errors import UserError
from partage.runs import record, verify, worktrees
from partage.runs.code_stamps import code
from partage.runs.equal_code import Entry, Stamp, chain, write_toml

# Settings that say when something seldom happens, in updates, episodes or steps: lowered to these,
# so that it happens within a few thousand steps.
SELDOM = {"target_every": 20, "period": 20, "pretraining": 40, "data": 10, "encode_until": 1000}
SEEDS = 2
TEST_EPISODES = 4
HEADER = """\
# Code that was seen to give the same curves, bit for bit: pairs of stamps of one learner on one
# family, with what was compared. `partage equal-code` adds entries, `partage stale` and
# `partage verify` honour them. Nothing here is written by hand.
"""


class Run(NamedTuple):
    """A finished run whose code is asked about."""

    folder: Path
    recipe: Recipe
    commit: str  # of the code that made it
    hash: str


class Pair(NamedTuple):
    """All runs that one commit made with one learner on one family."""

    commit: str
    learner: str
    family: str
    runs: list[Run]


class Outcome(NamedTuple):
    """What the comparison of a pair came to: an entry, or why there is none."""

    entry: Entry | None
    says: list[str]


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """Return the finished runs below some folders, imported ones left out.

    Raises `UserError` for a folder that is not there or has no runs, or a run that is corrupt.
    """
    found = []
    for place in folders:
        for folder in outcomes.find(place, "--runs"):
            made = record.read_record(folder)
            recipe = parse(made["recipe"], folder)
            if recipe.learner != IMPORTED:
                commit = (made["code"].get("commit") or "").removesuffix("-dirty")
                found.append(Run(folder, recipe, commit, made["code"]["hash"]))
    return found


def planned_runs(plan: Plan) -> list[Run]:
    """Return a run of each pair that a figure of the plan needs and that can be trained here.

    Nobody has made them: they stand for learners and families without finished runs.
    """
    request = Request(scale="smoke")
    plan = plan.for_scale(request.scale)
    ready, _ = plan.ready()
    figures = [plan.figures[name] for name in ready if name in plan.figures]
    recipes = plan.recipes(figures, request)
    return [Run(Path(), recipe, "", "") for recipe in recipes if recipe.learner != IMPORTED]


def group(runs: Iterable[Run], commit: str = "", learner: str = "", family: str = "") -> list[Pair]:
    """Return the runs, of one learner or family where these are named, by what made them.

    With a `commit`, only those that it made are taken; of a learner on a family with which it made
    none, one of each algorithm, as if it had. Raises `UserError` where there is nothing to compare.
    """
    made: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        if learner in ("", run.recipe.learner) and family in ("", run.recipe.family):
            made.setdefault((run.commit, run.recipe.learner, run.recipe.family), []).append(run)
    if not made:
        raise UserError(
            f"There is no run of {learner or 'any learner'} on {family or 'any family'} to take a "
            "recipe from: name folders of runs with --runs, or another --learner and --family."
        )
    if not commit:
        return [Pair(*key, members) for key, members in sorted(made.items())]
    by_code: dict[tuple[str, str], list[Run]] = {}
    for (_, *names), members in made.items():
        by_code.setdefault((names[0], names[1]), []).extend(members)
    return [
        Pair(commit, *names, made.get((commit, *names)) or _one_a_variant(members))
        for names, members in sorted(by_code.items())
    ]


def _one_a_variant(runs: Iterable[Run]) -> list[Run]:
    """Return the first run of each algorithm, without the stamp that it has of another commit."""
    first: dict[str, Run] = {}
    for run in runs:
        first.setdefault(run.recipe.algorithm, run._replace(hash=""))
    return list(first.values())


def shorten(recipe: Recipe, steps: int) -> Recipe:
    """Return a recipe of few steps in which all that the recipe's algorithm does happens."""
    settings = dict(recipe.settings)
    for name, most in SELDOM.items():
        value = settings.get(name)
        if isinstance(value, int):
            settings[name] = min(value, most)
    return dataclasses.replace(
        recipe,
        settings=settings,
        seeds=recipe.seeds[:SEEDS],
        steps=steps,
        log_every=max(1, min(recipe.log_every, steps // 8)),
        test_every=max(1, steps // 4) if recipe.test_every else 0,
        test_episodes=min(recipe.test_episodes, TEST_EPISODES),
    )


class Trained(NamedTuple):
    """The same recipe, trained by the code of both commits."""

    before: dict[str, Any]  # records
    after: dict[str, Any]
    differs: str  # empty: the curves are equal byte by byte


def compare(recipe: Recipe, checkouts: Sequence[Path]) -> Trained:
    """Train a recipe by the code before and after, side by side, and compare the curves."""
    with tempfile.TemporaryDirectory(prefix="partage-equal-code-") as place:
        folders = [run_dir(Path(place) / name, recipe) for name in ("before", "after")]
        for folder in folders:
            _io.write(folder / "recipe.json", recipe.text().encode())
        with ThreadPoolExecutor() as pool:
            failures = list(pool.map(worktrees.train, checkouts, folders))
        for name, failure in zip(("before", "after"), failures, strict=True):
            if failure:
                return Trained({}, {}, f"the code {name} failed with {failure}")
        curve, made = record.read(folders[0])
        curve_after, made_after = record.read(folders[1])
    if not made_after["resumed"]:
        return Trained({}, {}, "it ended before it was stopped; ask for more --steps")
    verdict = verify.compare(curve, curve_after, [], 0.0)
    return Trained(made, made_after, "" if verdict.same else verdict.says)


def judge(pair: Pair, checkouts: Sequence[Path], steps: int) -> Outcome:
    """Compare all recipes of a pair. One that differs leaves the pair without an entry."""
    says, compared = [], []
    for run in pair.runs:
        recipe = shorten(run.recipe, steps)
        trained = compare(recipe, checkouts)
        made_by = trained.before.get("code", {}).get("hash")
        name = f"{recipe.algorithm} on {recipe.task}"
        if trained.differs:
            says.append(f"DIFFERENT  {name}: {trained.differs}")
        elif run.hash not in ("", made_by):
            says.append(f"OTHER CODE {name}: {run.folder} was made by a changed {pair.commit[:7]}")
        else:
            says.append(f"same bits  {name}")
            compared.append((recipe, trained))
    if len(compared) < len(pair.runs) or not compared:
        return Outcome(None, says)
    recipes = [recipe for recipe, _ in compared]
    return Outcome(_entry(pair, recipes, compared[0][1]), says)


def _entry(pair: Pair, recipes: Sequence[Recipe], trained: Trained) -> Entry:
    before, after = (
        Stamp(made["code"]["hash"], made["code"]["commit"])
        for made in (trained.before, trained.after)
    )
    return Entry(
        before=before,
        after=after,
        learner=pair.learner,
        family=pair.family,
        tasks=sorted({recipe.task for recipe in recipes}),
        algorithms=sorted({recipe.algorithm for recipe in recipes}),
        steps=recipes[0].steps,
        seeds=recipes[0].seeds,
        machine=trained.after["machine"]["cpu"],
        versions=trained.after["versions"],
        date=datetime.now(UTC).date().isoformat(),
    )


def append(path: Path, entry: Entry) -> None:
    """Add an entry to the list at `path`; what stands there stays as it is."""
    content = path.read_text(encoding="utf-8") if path.exists() else HEADER
    _io.write(path, (content + write_toml([entry])).encode())


def compare_all(
    repository: Path, pairs: Sequence[Pair], entries: Sequence[Entry], steps: int
) -> Generator[tuple[Pair, Outcome], None, None]:
    """Yield each pair with what its comparison with HEAD came to.

    Pairs whose runs are of HEAD's stamp, or are linked to it by `entries`, are left out: what is
    added to `entries` meanwhile counts.
    """
    head = worktrees.find_commit(repository, "HEAD")
    with worktrees.checked_out(repository, head) as after:
        for commit, of_commit in itertools.groupby(pairs, lambda pair: pair.commit):
            todo = [pair for pair in of_commit if not _is_linked(pair, entries, after)]
            try:
                found = worktrees.find_commit(repository, commit) if todo else ""
            except UserError as error:
                yield from ((pair, Outcome(None, [f"UNKNOWN    {error}"])) for pair in todo)
                continue
            if found:
                with worktrees.checked_out(repository, found) as before:
                    for pair in todo:
                        yield pair, judge(pair, (before, after), steps)


def _is_linked(pair: Pair, entries: Sequence[Entry], checkout: Path) -> bool:
    """Return whether all runs of a pair have the checkout's stamp, or one that equals it."""
    today = code(pair.learner, pair.family, checkout / "src/partage")["hash"]
    hashes = {run.hash for run in pair.runs} - {today}
    return all(chain(entries, pair.learner, pair.family, each, today) for each in hashes)
