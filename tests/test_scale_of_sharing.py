"""The scale of sharing from training to picture: rows of derived sets, and what assignments say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from learning import as_in_training  # noqa: F401 (fixture)
from matplotlib.figure import Figure as Canvas
from small import curve, finish, outcome, small_plan

from partage import envs, learners
from partage.analysis import frames, sharing
from partage.config import plan as planning
from partage.config.plan import Plan, Request
from partage.config.recipe import Recipe, run_dir
from partage.errors import UserError
from partage.learners.a2c import A2C
from partage.plots import curves, heat_maps
from partage.runs import record
from partage.runs.train import Training
from partage.sims.contract import Spec

SPEC = Spec(3, n_actions=3, obs_dim=4, state_dim=12, horizon=5, common_reward=True)
KINDS = ("bias", "head", "film", "random", "mask", "spectrum", "low-rank", "hypernetwork")


def recipe(learner: str, seeds: list[int], **settings: object) -> Recipe:
    return Recipe(
        schema=1,
        scale="smoke",
        engine="batched",
        algorithm="x",
        learner=learner,
        settings=settings,  # type: ignore[arg-type]
        task="roll_call/3x3-5",
        options={},
        seeds=seeds,
        steps=400,
        log_every=100,
        test_every=0,
        test_episodes=0,
    )


def trained(learner: str, seeds: list[int], **settings: object) -> pd.DataFrame:
    training = Training(recipe(learner, seeds, **settings))
    while training.active.any():
        training.advance()
    return training.metrics.curve()


@pytest.mark.parametrize(
    ("learner", "kind"),
    [
        *(("a2c_derived", kind) for kind in KINDS),
        ("qmix_derived", "mask"),
        ("qmix_derived", "film"),
    ],
)
def test_a_learner_of_each_kind_trains_alike_alone_and_in_a_pack_and_says_how_much_it_shares(
    learner: str, kind: str
) -> None:
    more = {"batch": 4, "copies": 4} if learner == "qmix_derived" else {"lr": 3e-3}
    sharing_of = "id" if kind in ("mask", "spectrum", "random") else "full"
    alone, packed = (
        trained(learner, seeds, sets=kind, sharing=sharing_of, **more) for seeds in ([7], [5, 7, 9])
    )
    same = packed[packed["seed"] == 7].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, same, check_exact=True)
    block, always = ("back", "entropy") if learner == "a2c_derived" else ("layers", "epsilon")
    degree = alone.loc[alone["metric"] == f"degree/{block}", ["env_steps", "value"]].to_numpy()
    measured = alone.loc[alone["metric"] == always, "env_steps"].tolist()
    assert degree[:, 0].tolist() == [0, *measured] and len(measured) == 4
    assert (degree[:, 1] > 0).all() and (degree[:, 1] < 1).all()
    count = alone.loc[alone["metric"] == f"sets/{block}", "value"].to_numpy()
    assert count == pytest.approx(9 / (3 + 6 * degree[:, 1]), rel=1e-5)


@pytest.mark.parametrize("learner", ["a2c_derived", "qmix_derived"])
def test_derived_sets_without_a_base_are_refused_before_training(learner: str) -> None:
    with pytest.raises(UserError, match="sharing is full, or id"):
        learners.make(learner, SPEC, {"sharing": "none"}, [0])
    with pytest.raises(UserError, match="above 0 and at most 1, not 0"):
        learners.make(learner, SPEC, {"sets": "random", "keep": 0.0}, [0])


def test_a_pair_is_written_again_once_it_has_moved() -> None:
    from partage.runs.sharing_points import after, points

    first = torch.tensor([[1, 0.5, 0.9], [0.5, 1, 0.2], [0.9, 0.2, 1]])
    pairs = dict(points("agent", first, None))
    assert pairs == pytest.approx(
        {
            "degree/agent": 16 / 30,
            "sets/agent": 9 / 6.2,
            "overlap/agent/0-1": 0.5,
            "overlap/agent/0-2": 0.9,
            "overlap/agent/1-2": 0.2,
        }
    )
    written, later = first, first.clone()
    for _ in range(3):  # 0.012 in all, 0.004 at once
        later = later.clone()
        later[0, 1] += 0.004
        later[1, 0] += 0.004
        found = dict(points("agent", later, written))
        written = after(later, written)
    assert [name for name in found if name.startswith("overlap")] == ["overlap/agent/0-1"]
    assert not [name for name, _ in points("agent", later, written) if name.startswith("overlap")]


def of_groups(seed: int, changes: dict[int, list[int]], ends: int = 40) -> pd.DataFrame:
    """A curve whose groups change at these steps, and that is measured every ten."""
    rows = [(seed, step, step // 10, "train_return", 0.0) for step in range(10, ends + 1, 10)]
    for step, groups in changes.items():
        for agent, group in enumerate(groups):
            rows.append((seed, step, step // 10, f"sharing/front/{agent}", float(group)))
    return pd.DataFrame(rows, columns=["seed", "env_steps", "updates", "metric", "value"])


def test_curves_of_assignments_say_how_much_was_shared_at_every_instant() -> None:
    found = sharing.with_scale(
        pd.concat([of_groups(0, {0: [0, 0, 0], 20: [0, 0, 1]}), of_groups(3, {0: [0, 1, 2]})])
    )

    def values(seed: int, metric: str) -> dict[int, float]:
        rows = found[(found["seed"] == seed) & (found["metric"] == metric)]
        return dict(zip(rows["env_steps"], rows["value"], strict=True))

    third = pytest.approx(1 / 3)
    assert values(0, "degree/front") == {0: 1, 10: 1, 20: third, 30: third, 40: third}
    assert values(0, "sets/front") == {0: 1, 10: 1, 20: 1.8, 30: 1.8, 40: 1.8}
    assert set(values(3, "sets/front").values()) == {3}
    assert len(found[found["metric"] == "train_return"]) == 8


def test_what_a_curve_of_derived_sets_says_itself_is_left_as_it_is() -> None:
    given = of_groups(0, {0: [0, 1, 2]})
    given.loc[len(given)] = [0, 0, 0, "degree/front", 0.7]
    found = sharing.with_scale(given)
    assert found.loc[found["metric"] == "degree/front", "value"].tolist() == [0.7]


@pytest.mark.parametrize(
    "groups", [[0], [0, 0, 0], [0, 1, 2], [0, 0, 1], [0] * 3 + [1] * 3 + [2] * 12]
)
def test_numbers_of_curves_are_those_of_assignments(groups: list[int]) -> None:
    from partage.sharing import overlap

    matrix = overlap.of_assignment(torch.tensor([groups]))
    assert sharing.degree(np.array(groups)) == pytest.approx(float(overlap.degree(matrix)))
    found = sharing.effective_sets(np.array(groups))
    assert found == pytest.approx(float(overlap.effective_sets(matrix)))


def in_part() -> pd.DataFrame:
    """A curve of three agents, of which two come to share more."""
    rows = [(0, 0, 0, f"sharing/agent/{n}", float(n)) for n in range(3)]
    rows += [(0, 0, 0, f"overlap/agent/{pair}", 0.5) for pair in ("0-1", "0-2", "1-2")]
    rows += [(0, 20, 2, "overlap/agent/0-2", 0.9), (0, 40, 4, "train_return", 1.0)]
    return pd.DataFrame(rows, columns=["seed", "env_steps", "updates", "metric", "value"])


def test_matrices_follow_from_the_pairs_that_moved_and_from_groups() -> None:
    times, matrices = sharing.overlaps(in_part(), "agent", "env_steps")
    assert times.tolist() == [0, 20]
    assert matrices[0].tolist() == [[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]]
    assert matrices[1].tolist() == [[1, 0.5, 0.9], [0.5, 1, 0.5], [0.9, 0.5, 1]]
    times, matrices = sharing.overlaps(of_groups(0, {0: [0, 0, 1]}), "front", "updates")
    assert times.tolist() == [0] and matrices[0].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Plan, pd.DataFrame]:
    """A figure of an algorithm that shares in part, and its frame."""
    plan = small_plan(tmp_path)
    figure = plan.figures["first"]._replace(strip="alpha", beside={"degree/agent": "degree"})
    plan.figures["first"] = figure
    recipes = plan.recipes([figure], Request())
    finish(recipes, tmp_path)
    for one in recipes:
        both = [curve(one), in_part().assign(env_steps=lambda rows: rows["env_steps"] * 2)]
        if one.algorithm == "beta":
            both[1] = of_groups(0, {0: [0, 0, 1]}).replace(
                {"metric": {f"sharing/front/{n}": f"sharing/agent/{n}" for n in range(3)}}
            )
        record.write(run_dir(tmp_path, one), pd.concat(both), outcome(one))
    return plan, frames.build(figure, recipes, tmp_path)


def test_a_figure_draws_the_degree_of_assignments_too(drawn: tuple[Plan, pd.DataFrame]) -> None:
    _, frame = drawn
    of_beta = frame[(frame["algorithm"] == "beta") & (frame["metric"] == "degree/agent")]
    assert of_beta["value"].tolist()[-1] == pytest.approx(1 / 3)


def test_heat_maps_stand_where_strips_would_show_nothing(drawn: tuple[Plan, pd.DataFrame]) -> None:
    plan, frame = drawn
    canvas = curves.draw(plan, plan.figures["first"], frame)
    assert isinstance(canvas, Canvas)
    maps = [axes.images[0].get_array() for axes in canvas.axes if axes.images]
    assert len(maps) == 3
    assert [float(one[0, 2]) for one in maps] == [0.5, 0.9, 0.9]  # start, middle, end
    assert maps[0].shape == (3, 3)


def test_a_film_shows_who_shares_how_much(
    drawn: tuple[Plan, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heat_maps, "FRAMES", 4)
    plan, frame = drawn
    heat_maps.save_films(plan, plan.figures["first"], frame, tmp_path / "first")
    film = (tmp_path / "first-toy-a.gif").read_bytes()
    assert film.startswith(b"GIF8") and film.count(b"\x21\xf9\x04") > 1  # frames
    without = frame[~frame["metric"].str.startswith("overlap/")]
    heat_maps.save_films(plan, plan.figures["first"], without, tmp_path / "other")
    assert not list(tmp_path.glob("other*"))


@pytest.mark.parametrize("task", ["mpe/15a_3c", "mpe/30a_3c"])
def test_wide_sharing_is_as_large_as_none_and_narrow_none_as_small_as_sharing(task: str) -> None:
    sheets = planning.load()
    probe = envs.make(task, [0], 1)

    def parameters(variant: str, **settings: object) -> int:
        learner = learners.make("a2c", probe.spec, settings, [0])
        assert isinstance(learner, A2C), variant
        return sum(p.numel() for p in learner.net.parameters())

    def hidden(variant: str) -> int:
        (layer,) = sheets.variants[variant].layers_for(task)
        return layer.values["hidden"]

    full, none = parameters("fps", sharing="full"), parameters("nps", sharing="none")
    wide = parameters("fps-wide", sharing="full", hidden=hidden("fps-wide"))
    assert abs(wide - none) < 0.01 * none
    narrow = hidden("nps-narrow")
    sizes = {
        h: parameters("nps-narrow", sharing="none", hidden=h) for h in range(narrow - 1, narrow + 2)
    }
    assert min(sizes, key=lambda h: abs(sizes[h] - full)) == narrow
    (rows,) = sheets.variants["nps-rows"].layers_for(task)
    assert rows.values["copies"] == probe.spec.n_agents * 8
