"""The view cone: what it means, at its borders too, and that it turns with the field."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from partage.sims.football.view_cone import ANGLE, RADIUS, STILL, seen, turned

HERE, EAST = np.zeros((1, 2)), np.array([[1.0, 0.0]])
numbers = st.floats(-1, 1, allow_subnormal=False).map(lambda x: round(x, 6))
points = arrays(np.float64, (4, 2), elements=numbers)
angles = st.floats(-math.pi, math.pi, allow_subnormal=False)


def toward(degrees: float, gap: float = 0.5) -> np.ndarray:
    return gap * np.array([[math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]])


def plainly(place: np.ndarray, facing: np.ndarray, other: np.ndarray) -> bool:
    """The definition for one pair, by the angle itself."""
    x, y = other - place
    gap = math.hypot(x, y)
    if not facing.any() or gap == 0:
        return gap <= RADIUS
    between = math.atan2(facing[0] * y - facing[1] * x, facing[0] * x + facing[1] * y)
    return gap <= RADIUS and abs(math.degrees(between)) <= ANGLE / 2


def off_border(place: np.ndarray, facing: np.ndarray, others: np.ndarray) -> bool:
    """No pair lies so near a border that rounding decides."""
    to = others[None] - place[:, None]
    gap, length = np.linalg.norm(to, axis=-1), np.linalg.norm(facing, axis=-1)[:, None]
    edge = (to * facing[:, None]).sum(-1) - math.cos(math.radians(ANGLE / 2)) * gap * length
    sure = (abs(edge) > 1e-7) | (gap * length == 0)
    return bool(
        sure.all() and (abs(gap - RADIUS) > 1e-7).all() and ((length == 0) | (length > 1e-3)).all()
    )


@given(points, points, points)
def test_it_is_the_distance_and_the_angle(
    place: np.ndarray, facing: np.ndarray, others: np.ndarray
) -> None:
    assume(off_border(place, facing, others))
    expected = [[plainly(p, f, q) for q in others] for p, f in zip(place, facing, strict=True)]
    assert seen(place, facing, others).tolist() == expected


@given(points, points, points, angles, points)
def test_turning_and_moving_everything_changes_nothing(
    place: np.ndarray, facing: np.ndarray, others: np.ndarray, angle: float, shift: np.ndarray
) -> None:
    assume(off_border(place, facing, others))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    moved = seen(place @ turn + shift[0], facing @ turn, others @ turn + shift[0])
    assert (moved == seen(place, facing, others)).all()


@given(points, points, points, st.sampled_from([[1, -1], [-1, 1], [-1, -1]]))
def test_mirroring_everything_changes_nothing(
    place: np.ndarray, facing: np.ndarray, others: np.ndarray, mirror: list[int]
) -> None:
    flip = np.array(mirror, float)
    assert (seen(place * flip, facing * flip, others * flip) == seen(place, facing, others)).all()


@given(points, points, points, st.floats(1e-3, 1e3))
def test_only_the_direction_of_motion_counts(
    place: np.ndarray, facing: np.ndarray, others: np.ndarray, speed: float
) -> None:
    assume(off_border(place, facing, others))
    assert (seen(place, speed * facing, others) == seen(place, facing, others)).all()


@given(
    arrays(np.float64, (2, 3, 4, 2), elements=numbers),
    arrays(np.float64, (2, 3, 4, 2), elements=numbers),
)
def test_a_batch_is_its_parts(place: np.ndarray, facing: np.ndarray) -> None:
    whole = seen(place, facing, place)
    assert whole.shape == (2, 3, 4, 4)
    assert all(
        (whole[b, t] == seen(place[b, t], facing[b, t], place[b, t])).all()
        for b in range(2)
        for t in range(3)
    )


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0, True), (99.9, True), (100, True), (100.1, False), (180, False)]
)
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("heading", [0, 37, 90, 180, 251])
def test_both_edges_of_the_angle_belong_to_it(
    degrees: float, expected: bool, side: int, heading: float
) -> None:
    assert seen(HERE, toward(heading), toward(heading + side * degrees)).item() == expected


@pytest.mark.parametrize(
    ("gap", "expected"), [(0.0, True), (0.8399, True), (0.84, True), (0.8401, False)]
)
def test_the_edge_of_the_reach_belongs_to_it(gap: float, expected: bool) -> None:
    for degrees in (0, 60, -100):
        assert seen(HERE, EAST, toward(degrees, gap)).item() == expected


def test_who_faces_nowhere_sees_all_around_and_nobody_is_too_near_to_be_seen() -> None:
    for degrees in (0, 90, 180):
        assert seen(HERE, 0 * EAST, toward(degrees)).item()
    assert not seen(HERE, 0 * EAST, toward(0, 0.85)).item()
    assert seen(HERE, 0 * EAST, HERE).item() and seen(HERE, EAST, HERE).item()


def test_who_stands_keeps_facing_where_it_last_moved() -> None:
    facing, motion = (
        np.array([[1.0, 0], [0, 1], [0, 1]]),
        np.array([[0.0, 0], [-STILL, 0], [STILL / 2, -STILL / 2]]),
    )
    assert turned(facing, motion).tolist() == [[1, 0], [-STILL, 0], [0, 1]]
