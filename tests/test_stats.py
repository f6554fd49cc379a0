"""Statistics, against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage.analysis import bands, series, stats, student


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert stats.iqm(np.array([100.0, 1, 2, 3, 4, 5, 6, -100])) == pytest.approx(
        (2 + 3 + 4 + 5) / 4
    )
    assert stats.iqm(np.array([9.0, 1, 2, 3, -9])) == pytest.approx(
        2.0
    )  # floor(5 / 4) = 1 at each end
    assert stats.iqm(np.array([1.0, 2, 6])) == pytest.approx(3.0)  # too few to leave any out
    assert stats.iqm(np.array([[0.0, 1, 2, 30], [5, 5, 5, 5]])) == pytest.approx([1.5, 5])


def test_the_interquartile_mean_agrees_with_scipy():
    scipy = pytest.importorskip("scipy.stats")
    values = rng().normal(size=(7, 23))
    assert stats.iqm(values) == pytest.approx(scipy.trim_mean(values, 0.25, axis=1))


@pytest.mark.parametrize(
    ("df", "expected"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (10, 2.2281), (28, 2.0484)]
)
def test_student_s_quantiles_are_the_printed_ones(df: int, expected: float):
    assert student.quantile(df, 0.975) == pytest.approx(expected, abs=2e-4)
    assert student.quantile(df, 0.025) == pytest.approx(-expected, abs=2e-4)
    assert student.quantile(df, 0.5) == pytest.approx(0, abs=1e-9)


def test_a_plain_percentile_interval_of_few_values_is_the_enumerated_one():
    # all 27 ways to draw 3 of {0, 3, 6} with return: means 0 (1), 1 (3), 2 (6), 3 (7), 4 (6), 5
    # (3), 6 (1 way). 1/27 = 3.7 % lies below 1, so the 2.5 % quantile is 0 and the 97.5 % one 6; at
    # 80 %: 4/27 = 14.8 % lies below 2.
    values = np.array([0.0, 3, 6])
    assert stats.interval([values], rng(), expand=False) == pytest.approx((0, 6))
    assert stats.interval([values], rng(), level=0.8, expand=False) == pytest.approx((1, 5))


def test_strata_are_drawn_apart():
    # within each stratum there is nothing to vary, between them there is: a stratified draw does
    # not see it
    assert stats.interval([np.full(4, 1.0), np.full(4, 9.0)], rng()) == pytest.approx((5, 5))


def test_seeds_of_several_tasks_are_drawn_together_where_they_are_the_same():
    # each task alone has 0, 3 and 6, so 95 % of the means lie from 0 to 6 (above). Drawn together
    # two such tasks are no surer than one; if what one gains the other loses, nothing varies.
    values = np.array([0.0, 3, 6])
    together = {"expand": False, "seeds": ["a", "a"]}
    assert stats.interval([values, values], rng(), **together) == pytest.approx((0, 6))
    assert stats.interval([values, values[::-1]], rng(), **together) == pytest.approx((3, 3))
    low, high = stats.interval([values, values], rng(), expand=False)
    assert low > 0 and high < 6
    low, high = stats.interval([values, values], rng(), expand=False, seeds=["a", "b"])
    assert low > 0 and high < 6


def test_seeds_drawn_together_count_as_few_as_they_are():
    assert stats.tails([5]) != stats.tails([5, 5])
    values = rng().normal(size=5)
    joint = stats.interval([values] * 6, rng(), seeds=[5] * 6)
    assert joint == pytest.approx(stats.interval([values], rng()))


def test_the_sides_of_a_comparison_are_drawn_apart_and_the_tasks_of_each_together():
    x, y = np.array([0.0, 2.0]), np.array([1.0, 1.0])
    # x wins with seed 1 on the first task and with seed 0 on the second: one half in every draw
    found = stats.improvement_interval([x, x[::-1]], [y, y], rng(), seeds=([2, 2], [2, 2]))
    assert found == pytest.approx((0.5, 0.5))
    low, high = stats.improvement_interval([x, x[::-1]], [y, y], rng())
    assert low < 0.5 < high


def test_infinite_values_compare_and_nan_is_not_passed_over():
    inf = math.inf
    assert stats.improvement([np.array([inf, 1.0])], [np.array([inf, inf])]) == 0.25
    assert math.isnan(stats.improvement([np.array([math.nan, 1.0])], [np.array([0.0])]))


def test_one_seed_has_no_interval_and_is_no_crash():
    assert all(math.isnan(end) for end in stats.interval([np.array([3.0])], rng()))
    assert all(
        math.isnan(end)
        for end in stats.interval([np.array([3.0]), np.array([1.0, 2.0])], rng(), stats.iqm)
    )
    low, high = bands.band(np.array([[1.0, 2.0]]), rng())
    assert np.isnan(low).all() and np.isnan(high).all() and low.shape == (2,)


def test_two_seeds_give_the_two_values():
    assert stats.interval([np.array([1.0, 5.0])], rng()) == pytest.approx((1, 5))


def test_the_interval_of_five_values_covers_the_mean_nine_times_in_ten_and_the_plain_one_fails():
    generator, hits = rng(), np.zeros(2)
    for _ in range(400):
        values = [generator.normal(size=5)]
        for at, expand in enumerate((True, False)):
            low, high = stats.interval(values, generator, reps=1000, expand=expand)
            hits[at] += low <= 0 <= high
    assert hits[0] / 400 > 0.88 and hits[1] / 400 < 0.87


def test_the_same_generator_gives_the_same_interval_and_numpy_s_own_is_left_alone():
    values = [rng().normal(size=5), rng().normal(size=5)]
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert stats.interval(values, rng(), stats.iqm) == stats.interval(values, rng(), stats.iqm)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_a_band_is_the_interval_at_each_point():
    values = (
        rng().normal(size=(5, 300)).cumsum(axis=1)
    )  # more points than one slice of the computation
    low, high = bands.band(values, rng(), reps=20_000)
    for at in (0, 255, 256, 299):
        assert (low[at], high[at]) == pytest.approx(
            stats.interval([values[:, at]], rng(), reps=20_000), abs=0.25 * values[:, at].std()
        )
    assert (low <= values.mean(axis=0)).all() and (values.mean(axis=0) <= high).all()


def test_a_curve_may_follow_the_median_and_its_band_is_that_of_the_median():
    values = np.array([[1.0] * 40, [2.0] * 40, [90.0] * 40])
    assert stats.MIDDLES["median"](values.T).tolist() == [2.0] * 40
    low, high = bands.band(values, rng(), stats.median, expand=False)
    assert (low == 1).all() and (high == 90).all()


def test_runs_of_different_steps_meet_on_one_grid_inside_what_all_have():
    grid, values = series.align(
        [
            (np.array([0.0, 2, 4]), np.array([0.0, 2, 4])),
            (np.array([1.0, 3, 5]), np.array([10.0, 30, 50])),
        ]
    )
    assert grid.tolist() == [1, 2, 3, 4]
    assert values.tolist() == [[1, 2, 3, 4], [10, 20, 30, 40]]


def test_the_last_value_seen_can_stand_for_what_lies_between():
    runs = [
        (np.array([0.0, 2, 4]), np.array([0.0, 2, 4])),
        (np.array([1.0, 3, 5]), np.array([10.0, 30, 50])),
    ]
    assert series.align(runs, how="last")[1].tolist() == [[0, 2, 2, 4], [10, 10, 30, 30]]


def test_values_that_are_not_there_are_passed_over():
    runs = [
        (np.array([1.0, 2, 3]), np.array([math.nan, 2, 3])),
        (np.array([1.0, 2, 3]), np.array([1.0, 2, 3])),
    ]
    assert series.align(runs)[0].tolist() == [2, 3]
    assert series.align([(np.array([1.0]), np.array([math.nan]))])[0].size == 0


@given(st.integers(1, 3000))
def test_a_long_grid_is_thinned_and_keeps_its_ends(count: int):
    x = np.arange(1.0, count + 1)
    grid, values = series.align([(x, 2 * x)])
    assert len(grid) == min(count, 400) and grid[0] == 1 and grid[-1] == count
    assert values[0] == pytest.approx(2 * grid)


def test_final_performance_is_the_mean_over_the_last_fifteen_percent():
    x = np.arange(1.0, 101)
    assert series.final(x, x) == pytest.approx(np.mean(np.arange(85, 101)))
    assert series.final(np.array([10.0]), np.array([3.0])) == 3
    assert math.isnan(series.final(x, np.full(100, math.nan)))


def test_a_moving_mean_passes_over_nan_and_is_nan_where_there_is_nothing():
    y = np.array([1.0, math.nan, 3.0, math.nan, math.nan, math.nan])
    found = series.smooth(np.arange(6.0), y, 0.4)
    assert found[:4].tolist() == [1, 2, 3, 3] and np.isnan(found[4:]).all()


def test_pooling_puts_every_task_on_one_scale():
    tasks = [
        {"a": np.array([0.0, 10]), "b": np.array([5.0, 5])},
        {"a": np.array([-4.0]), "b": np.array([0.0])},
    ]
    found = stats.pooled(tasks)
    assert [stratum.tolist() for stratum in found["a"]] == [[0, 1], [0]]
    assert [stratum.tolist() for stratum in found["b"]] == [[0.5, 0.5], [1]]
    assert stats.normalise(np.array([2.0, 2]), 2, 2).tolist() == [0.5, 0.5]
    found = stats.pooled([{"a": np.array([0.0, math.nan]), "b": np.array([1.0, 2.0])}])
    assert math.isnan(stats.iqm(found["a"][0])) and found["b"][0].tolist() == [0.5, 1]
