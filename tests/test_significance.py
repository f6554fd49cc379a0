"""The tests behind verdicts, against values worked out by hand; how often equal algorithms fail."""

import math
from itertools import combinations

import numpy as np
import pytest

from partage.analysis import power, significance, stats, student
from partage.analysis.significance import LEVEL, Tails

N = 5  # seeds on each side


def test_two_seeds_against_two_can_be_dealt_out_in_six_ways():
    # as high a rank sum as that of the two highest has one way of six; of the lowest all six have
    best = significance.permutation(np.array([[3.0, 4.0]]), np.array([[1.0, 2.0]]))
    assert (best.above, best.below) == pytest.approx((1 / 6, 1.0))
    # 1 and 4 against 2 and 3: rank sums of the six ways are 1, 2, 3, 3, 4, 5, and theirs is 3
    even = significance.permutation(np.array([[1.0, 4.0]]), np.array([[2.0, 3.0]]))
    assert (even.above, even.below) == pytest.approx((4 / 6, 4 / 6))
    equal = significance.permutation(np.array([[1.0, 1.0]]), np.array([[1.0, 1.0]]))
    assert equal == (1.0, 1.0)


def test_a_seed_is_dealt_out_on_all_tasks_at_once():
    x, y = np.array([[3.0, 4.0], [30.0, 40.0]]), np.array([[1.0, 2.0], [10.0, 20.0]])
    assert significance.permutation(x, y).above == pytest.approx(1 / 6)  # not 1 / 36


def test_five_seeds_against_five_decide_if_at_most_two_of_25_pairs_are_lost():
    for lost, decides in ((0, True), (1, True), (2, True), (3, False)):
        theirs = np.array([[0.0, 1, 2, 3, 5 + lost - 0.5]])  # above `lost` of the others
        tails = significance.permutation(np.array([[5.0, 6, 7, 8, 9]]), theirs)
        assert (2 * tails.above <= LEVEL) == decides
    ways = list(combinations(range(10), 5))
    as_high = sum(sum(way) >= sum(range(5, 10)) - 2 for way in ways)
    assert (as_high, len(ways)) == (4, 252) and 2 * 4 / 252 < LEVEL < 2 * 7 / 252


def test_infinite_values_rank_as_such_and_nan_says_nothing():
    inf = math.inf
    tails = significance.permutation(np.array([[inf, inf]]), np.array([[1.0, -inf]]))
    assert tails.above == pytest.approx(1 / 6)
    assert significance.permutation(np.array([[1.0, math.nan]]), np.array([[0.0, 0.0]])) == (1, 1)


def test_many_seeds_are_dealt_out_at_random_and_p_is_never_zero():
    x, y = np.arange(20.0, 40)[None], np.arange(20.0)[None]
    assert significance.permutation(x, y).above == pytest.approx(1 / (significance.DEALS + 1))


def test_student_s_tails_are_the_ones_of_the_closed_form():
    # 1, 2, 3 have mean 2, deviation 1: t = 2 sqrt(3) from zero; with two degrees of freedom
    # P(T > t) = 1 / 2 - t / (2 sqrt(2 + t^2)) = 1 / 2 - sqrt(3 / 14)
    tails = significance.student_tails(np.array([1.0, 2, 3]), 0.0)
    assert tails == pytest.approx((0.5 - math.sqrt(3 / 14), 0.5 + math.sqrt(3 / 14)), abs=1e-6)
    assert significance.student_tails(np.array([2.0, 2, 2]), 1.0) == (0, 1)
    assert significance.student_tails(np.array([2.0, 2, 2]), 2.0) == (1, 1)
    assert significance.student_tails(np.array([2.0]), 1.0) == (1, 1)
    assert student.share_above(4, np.array([2.7764])) == pytest.approx(0.025, abs=1e-5)


def test_holm_s_p_values_are_the_ones_worked_out_by_hand():
    # sorted 0.01, 0.03, 0.04: times 3, 2, 1 are 0.03, 0.06, 0.04, and none falls below the one
    # before it
    assert significance.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert significance.holm([0.6, 0.7]) == [1.0, 1.0] and significance.holm([0.02]) == [0.02]


def test_that_all_parts_hold_needs_no_correction_and_that_one_fails_does():
    holding = significance.corrected([0.02, 0.02], [0.99, 0.99])
    assert holding == pytest.approx([0.04, 0.04])
    one_fails = significance.corrected([0.02, 0.99], [0.99, 0.02])
    assert one_fails == pytest.approx([0.08, 0.08])


def wrong(holds: np.ndarray, fails: np.ndarray) -> tuple[float, float, float]:
    """Return how often some part fails, or is decided at all, and fails without the correction."""
    failed, decided, alone = [], [], []
    for p_holds, p_fails in zip(holds, fails, strict=True):
        ps = np.array(significance.corrected(list(p_holds), list(p_fails)))
        failed.append(np.any((ps <= LEVEL) & (p_fails < p_holds)))
        decided.append(np.any(ps <= LEVEL))
        alone.append(np.any(2 * p_fails <= LEVEL))
    return float(np.mean(failed)), float(np.mean(decided)), float(np.mean(alone))


@pytest.mark.parametrize(
    ("baselines", "metrics", "tasks"), [(2, 1, 1), (4, 1, 1), (4, 1, 6), (5, 1, 9), (2, 2, 2)]
)
def test_of_equal_algorithms_one_claim_in_twenty_at_most_is_decided(
    baselines: int, metrics: int, tasks: int
):
    rng = np.random.default_rng(baselines + 10 * tasks)
    found: list[Tails] = []
    for _ in range(metrics):
        ours = rng.normal(size=(2000, tasks, N))
        others = [rng.normal(size=(2000, tasks, N)) for _ in range(baselines)]
        found += [significance.permutation(ours, theirs) for theirs in others]
    above = np.stack([tails.above for tails in found], axis=1)
    failed, decided, alone = wrong(above, np.stack([tails.below for tails in found], axis=1))
    assert failed <= decided <= LEVEL
    assert alone > (1.5 if baselines * metrics > 2 else 1.2) * failed  # what it was without


@pytest.mark.parametrize("curves", [2, 3])
def test_of_curves_at_the_threshold_one_claim_in_twenty_is_decided(curves: int):
    values = np.random.default_rng(curves).normal(size=(4000, curves, N))
    tails = significance.student_tails(values, 0.0)
    failed, decided, alone = wrong(tails.above, tails.below)
    by_chance = 2 * math.sqrt(LEVEL * (1 - LEVEL) / len(values))
    assert failed <= LEVEL and decided <= LEVEL + by_chance and alone > 1.5 * failed


def test_the_power_of_one_task_and_five_seeds_is_that_of_the_rank_test_counted_anew():
    rng = np.random.default_rng(7)
    ours, theirs = rng.normal(1, 1, (4000, N)), rng.normal(0, 1, (4000, N))
    won = (ours[:, :, None] > theirs[:, None, :]).sum(axis=(1, 2))
    assert power.of_comparison(N, 1, 1) == pytest.approx(np.mean(won >= 23), abs=0.02)
    assert power.of_comparison(N, 1, 4) < 0.06 < 0.5 < power.of_comparison(N, 6, 4)
    assert power.of_comparison(3, 6, 1) == 0  # three against three cannot be decided


def test_the_interval_that_used_to_decide_saw_one_deviation_in_a_quarter_of_cases():
    rng = np.random.default_rng(8)
    seen = []
    for _ in range(300):
        x, y = rng.normal(1, 1, N), rng.normal(0, 1, N)
        seen.append(stats.improvement_interval([x], [y], rng, reps=2000).low > 0.5)
    assert 0.18 < np.mean(seen) < 0.32


def test_the_power_for_a_curve_is_that_of_student_s_test():
    # noncentral t with 4 degrees of freedom, shifted by sqrt(5): P(T > 2.776), simulated apart
    values = np.random.default_rng(9).normal(1, 1, (20_000, N))
    t = values.mean(axis=1) / (values.std(axis=1, ddof=1) / math.sqrt(N))
    expected = float(np.mean(t > 2.7764))
    assert power.of_curves(N, 1, 1, settles=False) == pytest.approx(expected, abs=0.03)
    assert power.of_curves(N, 1, 1, settles=True) < expected
