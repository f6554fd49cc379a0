"""The evaluation protocol, held to rliable: aggregates, performance profiles, probability of
improvement.

The expected numbers are rliable 1.2.0's own (`metrics.aggregate_*`,
`metrics.probability_of_improvement`, `library.create_performance_profile`,
`library.get_interval_estimates`) on the scores below, computed once with numpy 2.4.6, scipy 1.17.1
and arch 7.2.0. rliable takes [runs, tasks]; strata here are the columns.
"""

import numpy as np
import pytest

from partage.analysis import stats

RUN, TASK = np.arange(7)[:, None], np.arange(4)[None, :]
X = 0.5 + 0.4 * np.sin(3 * RUN + 5 * TASK + 1)
Y = 0.4 + 0.5 * np.cos(2 * RUN + 7 * TASK)
LEVELS = np.linspace(-0.2, 1.0, 13)


def strata(scores: np.ndarray) -> list[np.ndarray]:
    return list(scores.T)


@pytest.mark.parametrize(
    ("scores", "mean", "median", "iqm", "gap"),
    [
        (X, 0.48882676541299175, 0.486949417190623, 0.484313472876917, 0.5111732345870084),
        (Y, 0.42765506926674157, 0.436682566085216, 0.42899193661929946, 0.5723449307332584),
    ],
)
def test_the_aggregates_are_rliable_s(
    scores: np.ndarray, mean: float, median: float, iqm: float, gap: float
):
    every = scores.ravel()
    assert stats.mean(every) == pytest.approx(mean, abs=1e-12)
    assert stats.task_median(strata(scores)) == pytest.approx(median, abs=1e-12)
    assert stats.iqm(every) == pytest.approx(iqm, abs=1e-12)
    assert stats.optimality_gap(every) == pytest.approx(gap, abs=1e-12)


def test_the_probability_of_improvement_is_rliable_s_with_ties_and_without():
    assert stats.improvement(strata(X), strata(Y)) == pytest.approx(0.5714285714285714, abs=1e-12)
    assert stats.improvement(strata(Y), strata(X)) == pytest.approx(0.42857142857142855, abs=1e-12)
    rounded = [strata(np.round(scores, 1)) for scores in (X, Y)]
    assert stats.improvement(*rounded) == pytest.approx(0.5688775510204082, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (X, [28, 28, 28, 28, 22, 19, 15, 13, 11, 8, 5, 0, 0]),
        (Y, [28, 28, 24, 21, 18, 16, 14, 12, 12, 10, 7, 1, 0]),
    ],
)
def test_a_performance_profile_is_rliable_s(scores: np.ndarray, expected: list[int]):
    assert stats.profile(scores.ravel(), LEVELS) == pytest.approx(np.array(expected) / 28)


def test_intervals_without_our_widening_are_rliable_s_to_the_bootstrap_s_noise():
    def within(found: object, expected: tuple[float, float]) -> None:
        assert found == pytest.approx(expected, abs=0.006)

    def rng() -> np.random.Generator:
        return np.random.default_rng(0)

    plain = {"reps": 40_000, "expand": False}
    within(stats.interval(strata(X), rng(), stats.iqm, **plain), (0.35178252, 0.6253502))
    within(stats.interval(strata(X), rng(), **plain), (0.39553806, 0.58421784))
    within(stats.interval(strata(Y), rng(), stats.iqm, **plain), (0.22696321, 0.63734721))
    within(stats.interval(strata(Y), rng(), **plain), (0.29872427, 0.55786307))


def test_the_interval_of_improvement_is_rliable_s_but_for_our_widening():
    low, high = stats.improvement_interval(strata(X), strata(Y), np.random.default_rng(0))
    assert 0.36 < low < 0.398 and 0.734 < high < 0.78


def test_an_interval_of_a_profile_holds_at_each_level_and_contains_the_profile():
    def of(drawn: list[np.ndarray]) -> np.ndarray:
        return stats.profile(np.concatenate(drawn, axis=-1), LEVELS)

    low, high = stats.bootstrap(strata(X), np.random.default_rng(0), of, reps=2000)
    point = stats.profile(X.ravel(), LEVELS)
    assert (
        low.shape == point.shape
        and (low <= point).all()
        and (point <= high).all()
        and (low < high).any()
    )
    assert np.isnan(stats.bootstrap([X[:1, 0], X[:, 1]], np.random.default_rng(0), of)).all()


def test_the_interval_of_a_median_of_tasks_is_drawn_within_tasks():
    low, high = stats.bootstrap(strata(X), np.random.default_rng(0), stats.task_median)
    assert low < stats.task_median(strata(X)) < high
    flat = [np.full(5, value) for value in (0.1, 0.4, 0.9)]
    assert stats.bootstrap(flat, np.random.default_rng(0), stats.task_median) == pytest.approx(
        [0.4, 0.4]
    )
