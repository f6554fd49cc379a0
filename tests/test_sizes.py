"""How large networks are stands beside what they earn."""

from pathlib import Path
from typing import Any

from learning import make
from small import checkout, curve, outcome

from partage import envs
from partage.analysis import claims, frames, tables
from partage.config import plan
from partage.config.plan import Request
from partage.runs import sizes

TASK = "mpe/15a_3c"  # 15 agents, 11 numbers observed, 5 actions
ACTOR, CRITIC = 11 * 64 + 2 * 64 * 64 + 64 * 5, 11 * 64 + 64 * 64 + 64
BIASES = 3 * 64 + 5 + 2 * 64 + 1


def size(variant: str, **more: Any) -> dict[str, int]:
    return sizes.of(make(variant, envs.make(TASK, [0, 1], 1), [0, 1], **more))


def test_a_run_trains_every_set_and_a_row_passes_through_one_of_each_layer() -> None:
    one = ACTOR + CRITIC + BIASES
    assert size("fps") == {"parameters": one, "multiply_adds": ACTOR + CRITIC}
    assert size("nps") == {"parameters": 15 * one, "multiply_adds": ACTOR + CRITIC}
    private = 14 * BIASES
    assert size("fps-bias") == {"parameters": one + private, "multiply_adds": ACTOR + CRITIC}
    # what moves the sharing of another learner trains its networks; a mixer is for no agent's row
    assert size("mdps") == size("nps")
    agent = 11 * 64 + 2 * 64 * 192 + 64 * 5
    assert size("qmix")["multiply_adds"] == agent


def test_a_figure_s_table_says_the_sizes_that_records_say(tmp_path: Path) -> None:
    checkout(tmp_path)
    sheets = plan.load(tmp_path)
    figure, made = sheets.figures["first"], []
    for recipe in sheets.recipes([figure], Request(scale="paper")):
        known = {"parameters": 14406, "multiply_adds": 14080} if recipe.algorithm == "beta" else {}
        rows = curve(recipe, "train_return")
        made.append((Path("x"), rows, {**outcome(recipe), "networks": known}))
    frame = frames.join(figure, made)
    data = tables.build(sheets, figure, frame)
    text = tables.markdown(figure, data, claims.build(sheets, figure, frame))
    assert text.count("| 14,406 | 14,080 |") == 1 and "| \u2013 | \u2013 |" in text
    frame.attrs["networks"] = {}  # of records that older code wrote
    assert "parameters" not in tables.build(sheets, figure, frame)
