"""Algorithm 1: who shares from here on, by the distance of policies   (MPD §2)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from partage.sharing.assignment import Assignment, full, none
from partage.sharing.fuse_divide import (
    BACKS_DIVIDE,
    INTENDED,
    STEADY,
    Move,
    Rules,
    fuse_divide,
    fuse_divide_literal,
)

quick = settings(max_examples=80, deadline=None)


def on_a_line(*places: float) -> Tensor:
    """Distances of agents that lie on a line: a metric."""
    x = torch.tensor(places)
    return (x[:, None] - x[None, :]).abs()[None]


def laid(
    x: list[float], y: list[float], fronts: list[int], backs: list[int]
) -> tuple[Tensor, Assignment, Assignment]:
    """Distances of agents on a plane, and who shares which front and back."""
    points = torch.tensor([x, y]).T
    return torch.cdist(points, points)[None], torch.tensor([fronts]), torch.tensor([backs])


def after(sets: Tensor, moves: list[Move], block: str) -> Tensor:
    """Parameters of each set once the moves are made; `sets` are theirs before."""
    sets = sets.clone()
    for move in moves:
        if move.block == block:
            sets[move.run, move.target] = sets[move.run, move.source]
    return sets


def moved(
    d: Tensor, front: Assignment, back: Assignment, fuse: float = 1.0
) -> tuple[list, list, list[Move]]:
    new_front, new_back, moves = fuse_divide(d, front, back, fuse, fuse / 2, 2 * fuse)
    return new_front[0].tolist(), new_back[0].tolist(), moves


def test_three_agents_at_one_distance_below_the_threshold_share_one_front() -> None:
    equal = 0.8 * (1 - torch.eye(3))[None]  # Fig. 1, left
    assert moved(equal, none(1, 3), none(1, 3))[0] == [0, 0, 0]


def test_the_first_contradiction_of_figure_1_cannot_arise() -> None:
    """d0 < eps1 fuses (1,2) and (2,3), 2 d0 > eps2 would divide (1,3): with eps2 = 2 eps1 it never
    is.
    """
    d = on_a_line(0.0, 0.9, 1.8)  # Fig. 1, right: 2 d0 is above eps1, never above eps2
    for start in (none(1, 3), full(1, 3)):
        assert all(move.source == move.target for move in moved(d, start, none(1, 3))[2])


def test_the_second_contradiction_of_figure_1_is_settled_by_the_original_policy() -> None:
    """Agent 2 takes agent 1's policy; agent 3, too far from that one, takes the one that agent 2
    had.
    """
    front, _, moves = moved(on_a_line(0.0, 0.9, 1.8), none(1, 3), none(1, 3))
    assert front == [0, 0, 1]
    assert [(m.agent, m.partner, m.target) for m in moves] == [(1, 0, 0), (2, 1, 1)]


def test_agents_between_the_thresholds_are_left_alone() -> None:
    d = on_a_line(0.0, 1.5, 3.0)
    assert moved(d, none(1, 3), none(1, 3)) == ([0, 1, 2], [0, 1, 2], [])


def test_agents_far_apart_part_and_find_their_like_in_the_same_call() -> None:
    front, back, _ = moved(on_a_line(0.0, 0.7, 5.0, 5.7), full(1, 4), none(1, 4))
    assert front[0] == front[1] != front[2] == front[3]
    assert back == [0, 1, 2, 3]


def test_backs_fuse_at_their_own_threshold_and_only_behind_one_front() -> None:
    assert moved(on_a_line(0.0, 0.4), full(1, 2), none(1, 2))[1] == [0, 0]
    assert moved(on_a_line(0.0, 0.6), full(1, 2), none(1, 2))[1] == [0, 1]
    assert moved(on_a_line(0.0, 0.4), none(1, 2), none(1, 2))[:2] == ([0, 0], [0, 1])


# Subnormal numbers are left out: other tests train in this process, which then flushes them.
COORDINATES = st.floats(0, 6, width=32, allow_subnormal=False)
cases = st.integers(2, 7).flatmap(
    lambda n: st.tuples(
        *(
            st.lists(st.floats(0, 6, width=32, allow_subnormal=False), min_size=n, max_size=n)
            for _ in range(2)
        ),
        *(st.lists(st.integers(0, n - 1), min_size=n, max_size=n) for _ in range(2)),
    )
)


@quick
@given(cases)
def test_only_a_fusion_changes_a_policy_and_only_to_one_within_the_threshold(case) -> None:
    d, front, back = laid(*case)
    sets = torch.arange(d.shape[1], dtype=torch.float32)[None]
    kept = front.clone(), back.clone()
    new_front, new_back, moves = fuse_divide(d, front, back, 1.0, 0.5, 2.0)
    assert torch.equal(front, kept[0]) and torch.equal(back, kept[1])
    for block, old, new, near in (("front", front, new_front, 1.0), ("back", back, new_back, 0.5)):
        before, now = sets[0, old[0]], after(sets, moves, block)[0, new[0]]
        for j in range(d.shape[1]):
            origins = [i for i in range(d.shape[1]) if before[i] == now[j]]
            assert now[j] == before[j] or any(d[0, i, j] < near for i in origins)
    for move in moves:
        if move.source != move.target:
            assert move.block == "front" and d[0, move.agent, move.partner] > 2.0
            assert move.target not in front[0].tolist()  # nobody's set is overwritten
    divided = [m.target for m in moves if m.source != m.target]
    assert len(divided) == len(set(divided))


@quick
@given(cases, cases)
def test_a_run_moves_as_it_would_alone(one, other) -> None:
    n = min(len(one[0]), len(other[0]))
    points = torch.tensor([[case[0][:n], case[1][:n]] for case in (one, other)]).transpose(1, 2)
    d = torch.cdist(points, points)
    both = fuse_divide(d, full(2, n), none(2, n), 1.0, 0.5, 2.0)
    for r in range(2):
        alone = fuse_divide(d[r : r + 1], full(1, n), none(1, n), 1.0, 0.5, 2.0)
        assert torch.equal(alone[0][0], both[0][r]) and torch.equal(alone[1][0], both[1][r])
        assert [m._replace(run=0) for m in both[2] if m.run == r] == alone[2]


@quick
@given(cases, st.sampled_from([STEADY, BACKS_DIVIDE]))
def test_on_distances_that_do_not_change_the_sharing_comes_to_rest(case, rules: Rules) -> None:
    d, front, back = laid(*case)
    for _ in range(20):
        new_front, new_back, moves = fuse_divide(d, front, back, 1.0, 0.5, 2.0, rules)
        if torch.equal(new_front, front) and torch.equal(new_back, back):
            assert all(move.source == move.target for move in moves)
            return
        front, back = new_front, new_back
    pytest.fail(f"still moving: {front.tolist()}, {back.tolist()}")


def test_who_is_too_far_from_a_user_does_not_join() -> None:
    d = torch.tensor([[[0.0, 1.3, 0.9], [1.3, 0.0, 2.1], [0.9, 2.1, 0.0]]])
    seen = {STEADY: [], INTENDED: []}
    for rules, fronts in seen.items():
        front, back = full(1, 3), none(1, 3)
        for _ in range(5):
            front, back, _ = fuse_divide(d, front, back, 1.0, 0.5, 2.0, rules)
            fronts.append(front[0].tolist())
    assert seen[STEADY] == [[0, 0, 1]] * 5
    assert seen[INTENDED] == [[0, 0, 1], [0, 0, 0]] * 2 + [[0, 0, 1]]  # for ever


def test_who_parts_in_front_does_not_fuse_backs_in_the_same_call() -> None:
    # 2 is near 0 and far from 1, who is near 0 as well
    d = torch.tensor([[[0.0, 1.9, 0.4], [1.9, 0.0, 2.2], [0.4, 2.2, 0.0]]])
    steady = fuse_divide(d, full(1, 3), none(1, 3), 1.0, 0.5, 2.0)
    former = fuse_divide(d, full(1, 3), none(1, 3), 1.0, 0.5, 2.0, INTENDED)
    assert steady[0][0, 2] != steady[0][0, 0] and steady[1].tolist() == [[0, 1, 2]]
    assert former[0][0, 2] != former[0][0, 0] and former[1].tolist() == [[0, 1, 0]]


def test_backs_of_different_fronts_part_where_that_is_asked_for() -> None:
    d, front, back = on_a_line(0.0, 2.5), none(1, 2), full(1, 2)
    assert fuse_divide(d, front, back, 1.0, 0.5, 2.0)[1].tolist() == [[0, 0]]
    _, parted, moves = fuse_divide(d, front, back, 1.0, 0.5, 2.0, BACKS_DIVIDE)
    assert parted.tolist() == [[0, 1]]
    assert moves == [Move(0, "back", 1, 0, source=0, target=1)]


def test_the_public_code_makes_one_change_an_agent_and_call() -> None:
    d = on_a_line(0.0, 0.1, 0.2, 0.3)
    front, _, moves = fuse_divide_literal(d, none(1, 4), none(1, 4), 1.0, 0.5, 2.0)
    # agent 0 takes in 1 and stops; 1 takes in 2 (with 0's front by then); 2 takes in 3
    assert front.tolist() == [[0, 0, 0, 0]]
    assert [(m.partner, m.agent) for m in moves] == [(0, 1), (1, 2), (2, 3)]


def test_in_the_public_code_a_fused_pair_bars_those_behind_it() -> None:
    d = on_a_line(0.0, 0.0, 5.0)
    shared = torch.tensor([[0, 0, 1]])
    literal = fuse_divide_literal(d, full(1, 3), shared, 1.0, 0.5, 2.0)
    assert literal[0].tolist() == [
        [0, 0, 2]
    ]  # 0 is barred by its twin 1; 1 divides from 2 after all
    assert [(m.partner, m.agent, m.block) for m in literal[2]] == [(0, 1, "back"), (1, 2, "front")]


def test_the_public_code_copies_a_set_that_the_agent_may_not_use() -> None:
    d = on_a_line(0.0, 9.0, 9.1)
    moves = fuse_divide_literal(d, torch.tensor([[2, 1, 1]]), none(1, 3), 0.01, 0.005, 0.05)[2]
    assert [(m.source, m.target) for m in moves] == [(1, 2)]  # overwrites set 2, which agent 0 uses
