"""Assignments: who goes through which set, and when two of them share alike."""

import doctest

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partage.sharing import assignment
from partage.sharing.assignment import by, full, none, partition, sets_in_use

tables = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.integers(-3, 5), min_size=n, max_size=n), min_size=1, max_size=3)
)
quick = settings(max_examples=60, deadline=None)


def together(index: torch.Tensor) -> torch.Tensor:
    """Which agents share with which: ``[R, N, N]``."""
    return index[:, :, None] == index[:, None, :]


def test_the_examples_in_the_docstrings_hold() -> None:
    found = doctest.testmod(assignment)
    assert found.attempted >= 5 and found.failed == 0


@quick
@given(tables)
def test_the_canonical_partition_numbers_sets_in_order_of_first_appearance(
    table: list[list[int]],
) -> None:
    for row in partition(torch.tensor(table)).tolist():
        for n, number in enumerate(row):
            assert 0 <= number <= len(set(row[:n]))  # one that was seen before, or the next new one


@quick
@given(tables)
def test_the_canonical_partition_shares_alike_and_is_its_own(table: list[list[int]]) -> None:
    index = torch.tensor(table)
    canonical = partition(index)
    assert torch.equal(together(canonical), together(index))
    assert torch.equal(partition(canonical), canonical)


@quick
@given(tables, st.randoms(use_true_random=False))
def test_renaming_the_sets_leaves_the_partition(table: list[list[int]], random) -> None:
    names = random.sample(range(9), 9)
    renamed = torch.tensor([[names[number + 3] for number in row] for row in table])
    assert torch.equal(partition(renamed), partition(torch.tensor(table)))


@quick
@given(tables, st.data())
def test_assignments_have_equal_partitions_exactly_if_they_share_alike(
    table: list[list[int]], data
) -> None:
    one = torch.tensor(table)
    other = torch.tensor([[data.draw(st.integers(0, 2)) for _ in row] for row in table])
    assert torch.equal(partition(one), partition(other)) == torch.equal(
        together(one), together(other)
    )


@quick
@given(tables)
def test_the_sets_in_use_are_counted_run_by_run(table: list[list[int]]) -> None:
    index = torch.tensor(table)
    assert sets_in_use(index).tolist() == [len(set(row)) for row in table]
    assert torch.equal(sets_in_use(index), partition(index).amax(1) + 1)


@quick
@given(st.integers(1, 4), st.integers(1, 6))
def test_full_sharing_uses_one_set_and_none_as_many_as_agents(runs: int, agents: int) -> None:
    for make, count in ((full, 1), (none, agents)):
        index = make(runs, agents)
        assert index.shape == (runs, agents) and index.dtype == torch.int64
        assert sets_in_use(index).tolist() == [count] * runs
        assert torch.equal(partition(index), index)


@quick
@given(
    st.lists(st.sampled_from(["red", "green", 3, (1, 2)]), min_size=1, max_size=6),
    st.integers(1, 3),
)
def test_agents_with_equal_labels_share_whatever_the_labels_are(labels: list, runs: int) -> None:
    index = by(labels, runs)
    alike = torch.tensor([[a == b for b in labels] for a in labels])
    assert torch.equal(together(index), alike.expand(runs, -1, -1))


def test_an_assignment_of_one_run_can_change_without_another_s() -> None:
    for index in (full(2, 3), none(2, 3), by([1, 1, 2], runs=2)):
        before = index.clone()
        index[0, 1] = 9
        assert torch.equal(index[1], before[1]) and index[0, 1] == 9
