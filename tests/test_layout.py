"""Nothing that a figure says leaves it or lies on something else, whatever there is to say."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from partage.config import plan as planning
from partage.config.plan import Figure, Plan
from partage.plots import figures, measured, profiles

PLAN = planning.load().for_scale("smoke")
NAMES = ["controls", "controls-critic", "mpd-init", "mpd-fig2", "mpd-fig4", "bdps-roles"]
LONG = "What is said of this figure goes on and on, longer than any line of it has room for, and on"
SLACK = 2.0  # pixels by which boxes of letters may meet: they hold more than ink


def made_up(figure: Figure, scale: str = "smoke") -> pd.DataFrame:
    """A frame of three points a curve and two seeds, in which every metric is there."""
    rows = []
    for (algorithm, task), seed in product(figure.pairs(), (0, 1)):
        shared = shared_by(figure, task) if algorithm == figure.strip else []
        metrics = [*figure.metrics, *shared]
        for metric, step in product(metrics, (0, 20_000, 40_000)):
            value = 0 if metric.startswith("sharing") else -1_234.5 * (1 - step / 50_000)
            value = 1.0 + seed if metric in figure.also else value
            rows.append((algorithm, task, seed, step, step // 40, metric, value))
    columns = ["algorithm", "task", "seed", "env_steps", "updates", "metric", "value"]
    frame = pd.DataFrame(rows, columns=columns)
    frame.attrs = {"scale": scale, "engine": "batched"}
    return frame


def shared_by(figure: Figure, task: str) -> list[str]:
    """The metrics of who shares with whom; those of FiLM say how much."""
    agents = range(sum(PLAN.tasks[task].groups) or 3)
    found = [f"sharing/{block}/{n}" for block in ("front", "back") for n in agents]
    if figure.strip == "fps-film":
        pairs = [f"{one}-{other}" for one, other in combinations(agents, 2)]
        found += [f"overlap/{block}/{pair}" for block in ("front", "back") for pair in pairs]
    return found


def boxes(canvas: Canvas) -> list[tuple[str, Bbox]]:
    """The words that are seen, each with its place in pixels."""
    renderer = FigureCanvasAgg(canvas).get_renderer()
    canvas.draw(renderer)
    unseen = {label for axes in canvas.axes for label in _labels_beyond(axes)}
    texts = [text for text in canvas.findobj(Text) if text.get_visible() and text not in unseen]
    seen = [text for text in texts if text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in seen]


def _labels_beyond(axes: Axes) -> set[Text]:
    """The labels of ticks that are not drawn: they lie beyond an axis' limits, or are spare."""
    labels: set[Text] = set()
    for axis in (axes.xaxis, axes.yaxis):
        drawn = axis._update_ticks()
        for tick in [*axis.majorTicks, *axis.minorTicks]:
            labels |= set() if tick in drawn else {tick.label1, tick.label2}
    return labels


def faults(canvas: Canvas) -> list[str]:
    """What is cut off, and what lies on what."""
    found, (width, height) = [], canvas.get_size_inches() * canvas.dpi
    seen = boxes(canvas)
    for words, box in seen:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        found += [] if inside else [f"cut: {words}"]
    for (one, first), (two, second) in combinations(seen, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        if wide > SLACK and high > SLACK:
            found.append(f"{one!r} lies on {two!r}")
    for (words, box), axes in product(seen, canvas.axes):
        ours = any(text.get_text() == words for text in axes.findobj(Text))
        inner = axes.get_window_extent()
        if not ours and box.overlaps(inner.padded(-SLACK)):
            found.append(f"{words!r} lies in a panel")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_figure_s_words_are_whole_and_apart(name: str):
    figure = PLAN.figures[name]
    assert faults(figures.draw(PLAN, figure, made_up(figure))) == []


@pytest.mark.parametrize(("name", "size"), [("bdps-fig6", 1e-9), ("mpd-fig3", 1e4)])
def test_there_is_room_for_numbers_of_any_width(name: str, size: float):
    figure = PLAN.figures[name]
    frame = made_up(figure)
    frame.loc[frame["metric"] == figure.metric, "value"] *= size / 3
    assert faults(figures.draw(PLAN, figure, frame)) == []


def test_beside_the_rows_of_an_arena_are_their_labels_and_no_legend_lies_in_a_panel():
    (shown,) = PLAN.select_figures("arena-lbf")
    tasks = ["lbf/10x10-3p-3f-v2", "lbf/15x15-4p-5f-v2"]  # of 3 agents, and of 4
    long = with_labels(PLAN, shown.algorithms[:1], 90)
    figure = shown._replace(tasks=tasks, title=f"{LONG}. {LONG}. {LONG}")
    frame = made_up(figure)
    frame["value"] += frame.groupby("metric").cumcount()
    for canvas in (figures.draw(long, figure, frame), profiles.draw(long, figure, frame)):
        assert faults(canvas) == []
        renderer = FigureCanvasAgg(canvas).get_renderer()
        of_panels = [axes.get_legend() for axes in canvas.axes]
        legends = [legend for legend in of_panels if legend is not None]
        assert legends
        for legend, axes in product(legends, canvas.axes):
            assert not legend.get_window_extent(renderer).overlaps(axes.bbox.padded(-SLACK))


def with_labels(sheets: Plan, names: list[str], length: int) -> Plan:
    """The plan, in which these algorithms have labels of so many letters."""
    words = ("one network for all, and a head of its own " * 3)[:length]
    variants = {name: sheets.variants[name]._replace(label=f"{name} {words}") for name in names}
    return sheets._replace(variants=sheets.variants | variants)


@pytest.mark.parametrize(
    ("count", "tasks", "length"), [(1, 1, 3), (16, 1, 120), (7, 2, 30), (7, 3, 60), (12, 5, 12)]
)
def test_there_is_room_for_any_legend_title_and_grid(count: int, tasks: int, length: int):
    names = list(PLAN.variants)[:count]
    sheets = with_labels(PLAN, names, length)
    panels = [task for task in sheets.tasks if task.startswith(("mpe/", "smac/"))][:tasks]
    long = {name: sheets.tasks[name]._replace(label=f"{name}: {LONG}") for name in panels}
    sheets = sheets._replace(tasks=sheets.tasks | long)
    base = PLAN.figures["mpd-15a_3c"]._replace(title=LONG, algorithms=names, tasks=panels, strip="")
    figure = base._replace(y_label="team return, of which nobody knows why it is called that (sum)")
    assert faults(figures.draw(sheets, figure, made_up(figure))) == []


def test_words_are_broken_between_words_and_only_within_one_that_fills_a_line():
    lines = measured.wrap("one two threefourfivesixseven eight", 0.8, 9.0).split("\n")
    assert all(measured.width(line, 9.0) <= 0.8 for line in lines)
    assert lines[0] == "one two" and "".join(lines[1:]).startswith("threefourfivesixseven")
    assert measured.wrap("short", 5, 9.0) == "short"


def test_a_legend_has_as_many_columns_as_fit():
    figure = PLAN.figures["controls"]
    canvas = figures.draw(PLAN, figure, made_up(figure))
    legend = canvas.legends[0]
    renderer = FigureCanvasAgg(canvas).get_renderer()
    room = canvas.bbox.width - 2 * 0.3 * canvas.dpi
    assert legend.get_window_extent(renderer).width <= room
    wider = measured.legend(legend.legend_handles, 100.0)
    assert wider[0] == len(figure.algorithms) + 1 > legend._ncols
    assert np.isclose(wider[1], measured.legend(legend.legend_handles[:1], 100.0)[1], rtol=0.2)
    six = legend.legend_handles[:6]
    found = {measured.legend(six, room)[0] for room in np.arange(1, 20, 0.5)}
    assert {1, 2, 3, 6} >= found > {1, 6}  # five columns would leave a row of one
