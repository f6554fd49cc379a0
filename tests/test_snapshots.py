"""Snapshots of football, and figures that can only be made where their simulator is installed."""

import importlib.metadata
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Wedge
from small import checkout, edit

from partage.config import plan, schema, snapshots
from partage.config.plan import Request
from partage.errors import UserError
from partage.plots import pitch
from partage.sims.football.match import View
from partage.sims.football.view_cone import seen

SNAPSHOT = """
[cones]
paper = "Paper, Fig. 3"
title = "Cones"
caption = "cones.rst"
task = "toy/b"
seed = 1
step = 2
pictures = 3
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The small checkout, with a snapshot of its own and a family that has to be installed."""
    checkout(tmp_path)
    (tmp_path / "src/partage/config/sheets/snapshots.toml").write_text(SNAPSHOT)
    needs = 'engine = "package"\nneeds = { ball = "make ball" }\ntime_limit = "terminal"'
    edit(tmp_path / "src/partage/config/sheets/tasks.toml", 'time_limit = "terminal"', needs)
    return tmp_path


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def version(name: str) -> str:
        if name not in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_what_is_not_installed_is_left_out_with_a_line_and_refused_with_the_same_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch)
    ready, line = plan.load(root).ready()
    assert (
        ready == []
        and line == "first, cones: ball is not installed; run `make ball` to add what needs it."
    )
    for name in ("first", "cones", "cones,first"):
        with pytest.raises(UserError, match="ball is not installed; run `make ball`"):
            plan.load(root).ready(name)


def test_what_is_installed_is_ready(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "ball")
    sheets = plan.load(root)
    assert sheets.ready() == (["first", "cones"], "") and sheets.ready("cones, first") == (
        ["cones", "first"],
        "",
    )
    with pytest.raises(UserError, match="did you mean 'cones'"):
        sheets.ready("cone")


def test_a_family_with_one_engine_is_played_with_it_whatever_is_asked_for(root: Path) -> None:
    sheets = plan.load(root)
    for engine in ("batched", "package"):
        assert {
            r.engine for r in sheets.recipes(sheets.select_figures(), Request(engine=engine))
        } == {"package"}
    edit(root / "src/partage/config/sheets/tasks.toml", '"package"', '"wooden"')
    with pytest.raises(UserError, match="Unknown engine 'wooden'"):
        plan.load(root)


def test_the_repositorys_own_football_says_how_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    ready, line = plan.load().ready()
    assert (
        line.startswith("bdps-fig2, bdps-fig10, grf-learning, bdps-fig7: gfootball")
        and "`make football`" in line
    )
    assert "bdps-fig9" in ready and not {
        "bdps-fig2",
        "bdps-fig7",
        "bdps-fig10",
        "grf-learning",
    } & set(ready)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("step = 2", "step = -1", "at least 0"),
        ("pictures = 3", "pictures = 0", "pictures at least 1"),
        ("seed = 1", 'seed = "1"', "'seed' should be a whole number"),
        ("seed = 1\n", "", "lacks the key 'seed'"),
        ("seed = 1", "seeds = 1", "did you mean 'seed'"),
    ],
)
def test_a_mistake_in_a_snapshot_is_refused(root: Path, old: str, new: str, words: str) -> None:
    edit(root / "src/partage/config/sheets/snapshots.toml", old, new)
    with pytest.raises(UserError, match=words):
        snapshots.read(schema.toml(root / "src/partage/config/sheets/snapshots.toml"))


def test_a_snapshot_of_a_task_that_does_not_exist_is_refused(root: Path) -> None:
    edit(root / "src/partage/config/sheets/snapshots.toml", "toy/b", "toy/c")
    with pytest.raises(UserError, match=r"Unknown task 'toy/c' in snapshots.toml \[cones\]"):
        plan.load(root)


def made_up(seed: int) -> list[View]:
    """Six instants of two agents and two opponents."""
    rng, views = np.random.default_rng(seed), []
    for t in range(6):
        players = rng.uniform([-0.9, -0.4], [0.9, 0.4], (4, 2))
        facing = rng.normal(size=(2, 2)) * (t > 0)
        ball = np.array([0.1 * t, 0.0, 0.1])
        views.append(
            View(
                players,
                0 * players,
                facing,
                seen(players[:2], facing, players),
                ball,
                0 * ball,
                0,
                1,
            )
        )
    return views


def played(snapshot: snapshots.Snapshot) -> pitch.Episode:
    """The made-up episode of a snapshot, which takes no game."""
    return pitch.Episode(made_up(snapshot.seed), "goal")


@pytest.fixture
def drawn(root: Path, monkeypatch: pytest.MonkeyPatch) -> Canvas:
    monkeypatch.setattr(pitch, "play", played)
    return pitch.draw(
        snapshots.read(schema.toml(root / "src/partage/config/sheets/snapshots.toml"))["cones"]
    )


def test_a_snapshot_shows_the_cones_whom_they_hold_and_the_course_of_the_episode(
    drawn: Canvas,
) -> None:
    field, whom, *moments = drawn.axes
    view = made_up(1)[2]
    cones = [patch for patch in field.patches if isinstance(patch, Wedge)]
    assert [tuple(cone.center) for cone in cones] == [tuple(place) for place in view.players[:2]]
    assert all(
        cone.r == 0.84 and (cone.theta2 - cone.theta1) % 360 == pytest.approx(200) for cone in cones
    )
    filled = [
        patch.get_facecolor() not in ((1, 1, 1, 1), (242 / 255,) * 3 + (1,))
        for patch in whom.patches
    ]
    assert sum(filled) == view.seen.sum() - 2  # oneself is not counted
    assert [axes.get_title(loc="left") for axes in moments] == ["step 0", "step 2", "step 5: goal"]


def test_drawing_a_snapshot_twice_gives_the_same_bytes(
    drawn: Canvas, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pitch, "play", played)
    again = pitch.draw(
        snapshots.read(schema.toml(root / "src/partage/config/sheets/snapshots.toml"))["cones"]
    )
    one, two = io.BytesIO(), io.BytesIO()
    for canvas, file in ((drawn, one), (again, two)):
        canvas.savefig(file, format="png", metadata={"Software": None})
    assert one.getvalue() == two.getvalue()


def test_a_step_after_the_episodes_end_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pitch, "play", played)
    edit(root / "src/partage/config/sheets/snapshots.toml", "step = 2", "step = 6")
    with pytest.raises(UserError, match="steps 0 to 5, but step is 6"):
        pitch.draw(
            snapshots.read(schema.toml(root / "src/partage/config/sheets/snapshots.toml"))["cones"]
        )
