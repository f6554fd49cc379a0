"""Roll call: the task whose best return is known for every way of sharing."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partage.envs import make
from partage.errors import UserError
from partage.sims.roll_call import ceiling

partitions = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.just(n), st.integers(1, 4), st.lists(st.integers(0, n - 1), min_size=n, max_size=n)
    )
)


def play(n_agents: int, n_actions: int, horizon: int, answers: torch.Tensor) -> float:
    """The return of a team in which agent n always gives ``answers[n]``."""
    env = make(f"roll_call/{n_agents}x{n_actions}-{horizon}", [0], 1)
    env.reset()
    for _ in range(horizon):
        step = env.step(answers.reshape(1, 1, n_agents))
    assert step.terminated.all()
    return step.score.item()


@settings(max_examples=30, deadline=None)
@given(partitions)
def test_the_ceiling_is_the_best_return_of_any_deterministic_policy(
    case: tuple[int, int, list[int]],
) -> None:
    n_agents, n_actions, partition = case
    answers = torch.tensor(list(product(range(n_actions), repeat=max(partition) + 1)))[:, partition]
    right = answers == torch.arange(n_agents) % n_actions
    best = answers[right.sum(1).argmax()]
    assert play(n_agents, n_actions, 3, best) == pytest.approx(
        ceiling(3, n_agents, n_actions, partition)
    )


@settings(max_examples=50, deadline=None)
@given(partitions)
def test_with_as_many_actions_as_agents_the_ceiling_counts_the_sets_in_use(
    case: tuple[int, int, list[int]],
) -> None:
    n, _, partition = case
    assert ceiling(8, n, n, torch.tensor(partition)) == pytest.approx(8 * len(set(partition)) / n)


def test_everyone_sees_the_clock_and_nothing_else() -> None:
    env = make("roll_call/3x2-5", [0, 1], 4)
    step = env.reset()
    for time in range(5):
        expected = torch.eye(5)[time]
        assert torch.equal(step.obs, expected.expand(2, 4, 3, 5))
        assert torch.equal(step.state, expected.expand(2, 4, 5))
        step = env.step(torch.randint(2, (2, 4, 3), generator=torch.Generator().manual_seed(time)))
    assert not step.obs.any()


@pytest.mark.parametrize("task", ["4x4", "4-8", "0x4-8", "4x4-0", "4x4-8-2"])
def test_a_task_outside_the_grammar_is_refused(task: str) -> None:
    with pytest.raises(UserError, match="<agents>x<actions>-<horizon>"):
        make(f"roll_call/{task}", [0], 1)


def test_a_partition_of_other_agents_has_no_ceiling() -> None:
    with pytest.raises(UserError, match="4 agents"):
        ceiling(8, 4, 4, [0, 1])
