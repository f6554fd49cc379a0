"""What was published, drawn once more from the runs that lie beside it, and the page of it all.

A collection is a folder with ``runs`` and a folder for each figure, which holds the frame that it
was drawn from: ``lab/runs`` and ``lab/mpe-learning/mpe-learning.parquet``. What its runs were made
with may have been left since: then it says so, and brings its own words, as today's are of what is
trained today: ``captions/<figure>.rst``, and in ``words.toml`` titles and labels that are others.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from partage.analysis import frames
from partage.config import recipe as recipes
from partage.config import schema
from partage.config.plan import Figure, Plan, Request
from partage.errors import UserError
from partage.plots import figures, files
from partage.report import build, not_run, page, provenance, sections
from partage.report.inventory import FigurePart, Run, restrict
from partage.runs import record

FORMER = "former"  # the folder of collections whose settings were left since
WORDS = "words.toml"  # of such a collection


class Redrawn(NamedTuple):
    """A published figure: its place, what today's figures.toml draws of it, and its runs."""

    plan: Plan  # with the labels that its algorithms had
    collection: Path  # below the folder of all that is published
    part: FigurePart
    runs: list[Run]

    @property
    def is_former(self) -> bool:
        """Return whether its settings were left since."""
        return _is_former(self.collection)

    @property
    def name(self) -> str:
        """Return what it is called among all that is published."""
        return f"{self.collection.name}-{self.part.figure.name}"


def find(plan: Plan, folder: Path) -> list[Redrawn]:
    """Return every figure that was published below `folder`.

    Those of the papers' own budgets come first, those of former settings last.
    Each run is checked: its curve has to be the one that its record names, and the figure's frame
    that of its runs. Raises `UserError` where that is not so, and where nothing was published.
    """
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {folder}: published results come with the repository, so run this "
            "in a clone of it, or name such a folder."
        )
    collections = sorted({runs.parent for runs in folder.rglob("runs") if runs.is_dir()})
    collections.sort(
        key=lambda place: (_is_former(place.relative_to(folder)), place.name != "paper")
    )
    found: list[Redrawn] = []
    at_scale = functools.cache(plan.for_scale)
    for place in collections:
        drawn = [
            path for path in sorted(place.glob("*/*.parquet")) if path.stem == path.parent.name
        ]
        found += [_redraw(plan, at_scale, folder, place, path) for path in drawn]
    if not found:
        raise UserError(
            f"Nothing is published in {folder}: a figure lies there as NAME/NAME.parquet beside "
            "the folder runs."
        )
    return found


def _redraw(
    plan: Plan, at_scale: Callable[[str], Plan], folder: Path, place: Path, path: Path
) -> Redrawn:
    """Return one published figure, from its runs."""
    published = frames.load(path)
    scaled = at_scale(published.attrs["scale"])  # sweeps and arenas have their trials there
    drawn = scaled.select_figures([path.stem])[0]
    plan = plan._replace(variants=scaled.variants)
    shown = {column: set(published[column].unique()) for column in ("task", "algorithm")}
    tasks = [task for task in drawn.tasks if task in shown["task"]]
    names = [name for name in drawn.algorithms if name in shown["algorithm"]]
    collection = place.relative_to(folder)
    figure = restrict(drawn, tasks, names)._replace(episode="")
    if _is_former(collection):
        plan, figure = _in_its_words(plan, figure, place)
    runs = list(_runs(place / "runs", figure))
    parts = [(run.folder, run.curve, run.record) for run in runs if run.curve is not None]
    frame = frames.join(figure, parts)
    _refuse_other_rows(path, published, frame)
    if _is_former(collection):
        frame.attrs["left_since"] = place.name
    return Redrawn(plan, collection, FigurePart(figure, frame, is_whole=True), runs)


def _in_its_words(plan: Plan, figure: Figure, place: Path) -> tuple[Plan, Figure]:
    """Return plan and figure with the labels, titles and caption of a former collection.

    Today's caption may be untrue of it: one without its own has none.
    """
    path = place / WORDS
    every = schema.toml(path) if path.is_file() else {}
    schema.strict(every, dict.fromkeys(plan.figures, dict), str(path))
    words, where = every.get(figure.name, {}), f"{path} [{figure.name}]"
    schema.strict(words, {"title": str, "paper": str, "labels": dict}, where)
    labels = words.get("labels", {})
    schema.strict(labels, dict.fromkeys(plan.variants, str), f"{where} labels")
    relabelled = {name: plan.variants[name]._replace(label=label) for name, label in labels.items()}
    caption = (place / "captions" / f"{figure.name}.rst").resolve()
    figure = figure._replace(
        title=words.get("title", figure.title),
        paper=words.get("paper", figure.paper),
        caption=str(caption) if caption.is_file() else "",
    )
    return plan._replace(variants=plan.variants | relabelled), figure


def _is_former(collection: Path) -> bool:
    """Return whether a collection has settings that were left since; its place tells."""
    return FORMER in collection.parts


def _runs(folder: Path, figure: Figure) -> Iterator[Run]:
    """Yield the published runs of a figure, each checked."""
    for task, name in product(figure.tasks, figure.algorithms):
        for place in sorted((folder / name / task).glob("*/record.json")):
            curve, made = record.read(place.parent)
            yield Run(recipes.parse(made["recipe"], place), place.parent, curve, made)


def _refuse_other_rows(path: Path, published: pd.DataFrame, frame: pd.DataFrame) -> None:
    """Raise `UserError` where a published frame is not that of the runs beside it."""
    both = [_drawn_as_curves(rows) for rows in (published, frame)]
    if not both[0].equals(both[1]):
        raise UserError(
            f"{path} is not what today's figures.toml draws of the runs in "
            f"{path.parents[1] / 'runs'}: publish the figure anew."
        )


def _drawn_as_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame's curves in order; of whose sharing frames hold more since they were saved."""
    keys = ["task", "algorithm", "seed", "metric", "env_steps", "value"]
    shared = frame["metric"].astype(str).str.startswith(("sharing/", "overlap/"))
    return frame.loc[~shared, keys].sort_values(by=keys, ignore_index=True)


def save(shown: Sequence[Redrawn], folder: Path) -> list[Path]:
    """Draw each figure into `folder`; return the files."""
    made = []
    for one in shown:
        path = folder / one.collection / f"{one.part.figure.name}.png"
        files.save(figures.draw(one.plan, one.part.figure, one.part.frame), path)
        made.append(path)
    return made


def render(shown: Sequence[Redrawn], folder: Path) -> str:
    """Return the page of the published figures."""
    drawn, overview, every = [], [], {}
    today = [one for one in shown if not one.is_former]
    for one in shown:
        plan, figure = one.plan, one.part.figure
        judged = build.judge(plan, figure, one.part)
        request = Request(scale=one.part.frame.attrs["scale"])
        section = sections.of_figure(plan, request, figure, one.runs, one.part, judged, folder)
        named = _named(one)
        drawn.append(section._replace(figure=named, absolute=None, note=_note(one)))
        overview += build.overview_of(named, one.runs, judged)
        for run in one.runs:
            every[run.folder] = run._replace(curve=None)
    overview += not_run.rows(shown[0].plan, {one.part.figure.name for one in today})
    runs = list(every.values())
    scales = " and ".join(dict.fromkeys(run.recipe.scale for run in runs))
    front = build.front(Request(), folder, runs)._replace(scale=scales)
    return page.render(
        front=front,
        overview=provenance.overview_table(overview),
        counted=Counter(row.verdict for row in overview if row.verdict),
        figures=drawn,
        snapshots=[],
        captions={},
        settings_tables=[],
        provenance=provenance.gather(runs),
        left_out={},
    )


def _named(one: Redrawn) -> Figure:
    """Return the figure with a name and title of its own among all that is published."""
    figure = one.part.figure
    title = f"{figure.title} (former: {one.collection.name})" if one.is_former else figure.title
    return figure._replace(name=one.name, title=title)


def _note(one: Redrawn) -> str:
    """Return what a figure must not be read without."""
    if not one.is_former:
        return ""
    return (
        f"Former settings: these runs were made with settings that this suite has left since "
        f"({one.collection}/README.md says which), so today's would end elsewhere."
    )
