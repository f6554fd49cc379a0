"""Pictures of who shares with whom: what their colours say, and that they are true of all seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from small import edit, small_plan
from test_claims import ends

from partage.analysis import sharing as analysis
from partage.analysis.frames import COLUMNS
from partage.config import plan as planning
from partage.config.plan import Figure, Plan
from partage.errors import UserError
from partage.plots import curves, files, sharing, style
from partage.sims.particles import tasks as particles
from partage.sims.skirmish import data as skirmish

BLUE, ORANGE, GREY = (to_rgb(colour) for colour in (*style.GROUPS[:2], style.ALONE))
SHARED = {  # seed -> what its three agents share, from update 0 and from 50 of 100
    0: ([0, 0, 0], [0, 1, 1]),
    1: ([0, 1, 2], [0, 0, 2]),
}


def shared_frame() -> pd.DataFrame:
    """Return a frame whose algorithm beta shares one block."""
    rows = ends([1, 2], [2, 3])
    more: list[tuple[Any, ...]] = []
    for seed, instants in SHARED.items():
        for updates, groups in zip((0, 50), instants, strict=True):
            of = ("beta", "toy/a", seed, 10 * updates, updates)
            more += [(*of, f"sharing/back/{n}", float(group)) for n, group in enumerate(groups)]
    both = pd.concat([rows, pd.DataFrame(more, columns=list(COLUMNS))], ignore_index=True)
    both.attrs = rows.attrs
    return both


def with_groups(tmp_path: Path, groups: str) -> tuple[Plan, Figure]:
    small_plan(tmp_path)
    sheets = tmp_path / "src/partage/config/sheets/tasks.toml"
    edit(sheets, "options.size = 4", f"options.size = 4\ngroups = {groups}")
    sheet = planning.load(tmp_path)
    return sheet, sheet.figures["first"]._replace(strip="beta")


def test_strips_show_all_seeds_the_task_s_own_groups_and_who_is_alone(tmp_path: Path):
    sheets, figure = with_groups(tmp_path, "[1, 2]")
    canvas = curves.draw(sheets, figure, shared_frame())
    own, first, second = canvas.axes[1:]
    assert [axes.get_title() for axes in (own, first, second)] == ["own", "seed 0", "1"]
    drawn = [np.asarray(axes.images[0].get_array()) / 255 for axes in (own, first, second)]
    wanted = [
        ([GREY, BLUE, BLUE], [GREY, BLUE, BLUE]),
        ([ORANGE, ORANGE, ORANGE], [GREY, BLUE, BLUE]),
        ([GREY, GREY, GREY], [BLUE, BLUE, GREY]),
    ]
    for pixels, (start, end) in zip(drawn, wanted, strict=True):
        assert pixels[:, 0] == pytest.approx(np.array(start), abs=0.01)
        assert pixels[:, -1] == pytest.approx(np.array(end), abs=0.01)
    half = sharing.INSTANTS // 2
    assert (drawn[1][0, : half - 6] == drawn[1][0, 0]).all()
    assert (drawn[1][0, half + 6 :] == drawn[1][0, -1]).all()


def test_a_strip_is_one_picture_without_seams_and_its_note_is_true(tmp_path: Path):
    sheets, figure = with_groups(tmp_path, "[1, 2]")
    canvas = curves.draw(sheets, figure, shared_frame())
    svg = files.picture_bytes(canvas, "svg").decode()
    assert svg.count("<image ") == 3 and "QuadMesh" not in svg
    words = " ".join(text.get_text() for text in canvas.texts).replace("\n", " ")
    assert "same colour: same set at that time; grey: alone; own: the task's own groups" in words
    assert "strips" not in " ".join(
        sharing.describe(sheets, figure._replace(strip=""), ends([1], [2]))
    )


def test_at_no_time_have_two_groups_one_colour():
    colours = style.group_colours(30)
    assert len({tuple(colour) for colour in colours.tolist()}) == 30
    assert tuple(np.round(colours[0], 4)) == pytest.approx(BLUE, abs=1e-4)
    pairs = np.arange(30) // 2 * 2  # as many groups as there can be
    assert set(analysis.ranks(pairs[None])[0]) == set(range(15))


def test_the_largest_group_of_the_end_comes_first_and_the_first_member_decides_between_equals():
    before, end = [0, 0, 2, 0, 4, 2, 2], [0, 1, 1, 0, 4, 4, 4]
    assert analysis.ranks(np.array([before, end])).tolist() == [
        [1, 1, 3, 1, analysis.ALONE, 3, 3],
        [1, 2, 2, 1, 0, 0, 0],
    ]


def test_groups_that_are_not_of_all_agents_are_refused(tmp_path: Path):
    sheets, figure = with_groups(tmp_path, "[1, 1]")
    with pytest.raises(UserError, match=r"toy/a are \[1, 1\], which is 2 agents, but .* have 3"):
        curves.draw(sheets, figure, shared_frame())


def test_a_group_of_nobody_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"at least 1, but is \[0, 3\]"):
        with_groups(tmp_path, "[0, 3]")


def test_the_sheets_have_the_groups_that_the_simulators_have():
    found = {"mpe": particles.named, "smac": skirmish.find_map}
    for name, task in planning.load().tasks.items():
        family, _, short = name.partition("/")
        types = found[family](short).spec.types if family in found else ()
        counts = [types.count(each) for each in dict.fromkeys(types)]
        assert task.groups == counts, name


def test_a_rate_is_drawn_on_the_whole_of_zero_to_one(tmp_path: Path):
    small_plan(tmp_path)
    edit(
        tmp_path / "src/partage/config/sheets/tasks.toml",
        "settings.anneal",
        'rates = ["train_return"]\nsettings.anneal',
    )
    sheets = planning.load(tmp_path)
    canvas = curves.draw(sheets, sheets.figures["first"], ends([0.1, 0.2], [0.2, 0.3]))
    low, high = canvas.axes[0].get_ylim()
    assert -0.1 < low <= 0 and 1 <= high < 1.1
