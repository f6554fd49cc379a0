"""The figure of games with a closed form: where dots and lines lie, and what it is refused for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small import FILES, checkout, edit

from partage.analysis import frames
from partage.analysis.sets_in_use import sets_in_use
from partage.config import plan
from partage.errors import UserError
from partage.plots import figures
from partage.sims.games import ceilings
from partage.sims.games.tasks import named

TASK = "games/specialisation-4x4-10"
ROWS = tuple[str, int, int, str, float]


def frame_of(rows: list[ROWS], task: str = TASK) -> pd.DataFrame:
    """A frame of (algorithm, seed, steps, metric, value)."""
    columns = ["algorithm", "seed", "env_steps", "metric", "value"]
    found = pd.DataFrame(rows, columns=columns).assign(task=task, updates=0)
    found = found[list(frames.COLUMNS)].astype(frames.COLUMNS)
    found.attrs = {"figure": "games", "scale": "smoke", "engine": "batched"}
    return found


def shared(algorithm: str, seed: int, block: str, groups: list[int], steps: int = 0) -> list[ROWS]:
    return [
        (algorithm, seed, steps, f"sharing/{block}/{agent}", group)
        for agent, group in enumerate(groups)
    ]


def test_policies_are_counted_over_all_blocks_but_the_critics_at_the_end() -> None:
    rows = [
        *shared("mdps", 0, "front", [0, 0, 0, 0]),
        *shared("mdps", 0, "back", [0, 1, 2, 3]),
        *shared("mdps", 0, "critic", [0, 1, 2, 3]),
        *shared("mdps", 0, "back", [0, 0, 2, 2], steps=500),
        *shared("mdps", 1, "front", [0, 0, 0, 3]),
        *shared("mdps", 1, "back", [0, 1, 1, 1]),
        *shared("nps", 0, "back", [0, 1, 2, 3]),
    ]
    assert sets_in_use(frame_of(rows), "mdps", TASK) == {0: 2, 1: 3}
    assert sets_in_use(frame_of(rows), "nps", TASK) == {0: 4}
    assert sets_in_use(frame_of(rows), "fps", TASK) == {}


def measured(algorithm: str, seed: int, greedy: float, explored: float) -> list[ROWS]:
    return [
        (algorithm, seed, 1000, "test_return", greedy),
        (algorithm, seed, 1000, "train_return", explored),
    ]


def test_a_dot_lies_at_its_sets_and_return_and_a_ring_at_what_it_explores() -> None:
    rows = [
        *shared("fps", 0, "front", [0] * 4),
        *measured("fps", 0, 2.5, 6.5),
        *shared("nps", 0, "front", [0, 1, 2, 3]),
        *measured("nps", 0, 10, 9),
    ]
    sheets = plan.load()
    figure = sheets.figures["games"]._replace(tasks=[TASK], algorithms=["fps", "nps"])
    canvas = figures.draw(sheets, figure, frame_of(rows))
    (axes,) = canvas.axes
    places = [tuple(dots.get_offsets()[0]) for dots in axes.collections]
    faces = [len(dots.get_facecolor()) for dots in axes.collections]
    assert [round(x) for x, _ in places] == [1, 1, 4, 4]
    assert [y for _, y in places] == pytest.approx([0.25, 0.65, 1, 0.9])
    assert faces == [1, 0, 1, 0], "what explores is a ring"
    greedy, sampled = (line.get_ydata() for line in axes.lines)
    assert greedy == pytest.approx([0.25, 0.5, 0.75, 1])
    game = named(TASK)
    most = [ceilings.of_sets(game, s, ceilings.sampled) / 10 for s in (1, 2, 3, 4)]
    assert sampled == pytest.approx(most)
    words = " ".join(text.get_text() for text in canvas.texts)
    assert "not a result" in words and "sets of parameters" in words
    assert "rings: the same as they explore" in words.replace("\n", " ")


def test_a_figure_of_ceilings_keeps_everyones_sharing_and_one_of_curves_does_not() -> None:
    figure = plan.load().figures["games"]
    curve = frame_of([*shared("nps", 1, "front", [0, 1, 2, 3]), *measured("nps", 1, 1, 1)])
    assert frames._is_drawn(figure, "nps", curve).all()
    of_curves = frames._is_drawn(figure._replace(kind="curves"), "nps", curve)
    assert np.flatnonzero(of_curves).tolist() == [4, 5]


def test_ceilings_of_a_task_that_has_none_are_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    root = checkout(tmp_path)
    sheet = root / "src/partage/config/sheets/figures.toml"
    assert str(sheet.relative_to(root)) in FILES
    edit(sheet, 'x = "updates"\n', 'x = "updates"\nkind = "ceilings"\n')
    with pytest.raises(UserError, match=r"family whose ceilings are known 'toy'.*roll_call"):
        plan.load(root)
    edit(sheet, 'kind = "ceilings"', 'kind = "pie"')
    with pytest.raises(UserError, match=r"kind of figure 'pie'.*ceilings, curves"):
        plan.load(root)


@pytest.mark.parametrize("family", ["games", "roll_call"])
def test_every_game_in_the_plan_has_ceilings(family: str) -> None:
    tasks = [task for task in plan.load().tasks if task.startswith(f"{family}/")]
    assert tasks
    for task in tasks:
        game = named(task)
        assert ceilings.of_sets(game, game.n_agents, ceilings.greedy) == game.horizon
