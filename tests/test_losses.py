"""Targets and losses, against numbers worked out by hand."""

import pytest
import torch

from partage.rl.losses import linear_schedule, masked_mse, n_step_returns, td_target

REWARD = [1.0, 2.0, 3.0]
NEXT = [10.0, 20.0, 40.0]  # the values of what follows each step
NAN, INF = float("nan"), float("inf")


def flags(*where: int) -> torch.Tensor:
    return torch.tensor([[[t in where for t in range(3)]]])


def over_time(values: list[float]) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, -1, 1)


@pytest.mark.parametrize(
    ("terminated", "truncated", "expected"),
    [
        ((), (), [7.75, 13.5, 23.0]),  # 3 + 40/2; 2 + 23/2; 1 + 13.5/2
        (
            (1,),
            (),
            [2.0, 2.0, 23.0],
        ),  # the second step is the last of its episode: nothing follows it
        ((2,), (), [2.75, 3.5, 3.0]),
        ((0, 1, 2), (), REWARD),
        (
            (),
            (1,),
            [7.0, 12.0, 23.0],
        ),  # cut by the clock: 2 + 20/2, and the next episode is not looked at
        ((), (2,), [7.75, 13.5, 23.0]),
        ((0,), (1,), [1.0, 12.0, 23.0]),
    ],
)
def test_returns_end_at_a_termination_and_bootstrap_at_a_truncation_and_at_the_end(
    terminated: tuple[int, ...], truncated: tuple[int, ...], expected: list[float]
) -> None:
    found = n_step_returns(
        over_time(REWARD), over_time(NEXT), flags(*terminated), flags(*truncated), 0.5
    )
    assert found.flatten().tolist() == expected


def test_only_the_values_that_are_bootstrapped_from_are_looked_at() -> None:
    used = n_step_returns(over_time(REWARD), over_time([NAN, 20.0, 40.0]), flags(), flags(1), 0.5)
    assert used.flatten().tolist() == [7.0, 12.0, 23.0]
    unused = n_step_returns(over_time(REWARD), over_time([NAN, NAN, INF]), flags(2), flags(), 0.5)
    assert unused.flatten().tolist() == [2.75, 3.5, 3.0]


def test_every_run_copy_and_agent_has_its_own_return() -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 4, 5)  # R B T N
    reward, value = (torch.rand(shape, generator=generator) for _ in range(2))
    terminated, truncated = (torch.rand(shape[:3], generator=generator) < 0.3 for _ in range(2))
    found = n_step_returns(reward, value, terminated, truncated, 0.9)
    for r, b, n in ((0, 0, 0), (1, 2, 4), (1, 0, 3)):
        one = [x[r : r + 1, b : b + 1] for x in (reward, value, terminated, truncated)]
        alone = n_step_returns(one[0][..., n : n + 1], one[1][..., n : n + 1], one[2], one[3], 0.9)
        assert torch.equal(found[r, b, :, n], alone.flatten())


def test_the_td_target_has_a_future_except_where_the_task_terminated() -> None:
    reward, value = torch.tensor([[REWARD]]), torch.tensor([[[10.0, INF, 40.0]]])
    assert td_target(reward, value, flags(1), 0.5).flatten().tolist() == [6.0, 2.0, 23.0]


def test_the_loss_is_each_run_s_mean_over_its_real_transitions() -> None:
    prediction = torch.tensor([[[1.0, 2.0], [3.0, 9.0]], [[5.0, 0.0], [0.0, 0.0]]])
    target = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[[True, True], [True, False]], [[True, False], [False, False]]])
    assert masked_mse(prediction, target, mask).tolist() == pytest.approx([(1 + 4 + 9) / 3, 16.0])


@pytest.mark.parametrize("padding", [0.0, 1e30, INF, NAN])
def test_padding_moves_neither_the_loss_nor_its_gradient(padding: float) -> None:
    prediction = torch.tensor([[[1.0, 2.0, padding]]], requires_grad=True)
    target = torch.tensor([[[0.0, 0.0, -padding]]])
    loss = masked_mse(prediction, target, torch.tensor([[[True, True, False]]]))
    (gradient,) = torch.autograd.grad(loss.sum(), prediction)
    assert loss.item() == 2.5 and gradient.flatten().tolist() == [1.0, 2.0, 0.0]


def test_a_run_without_transitions_has_no_loss() -> None:
    nothing = torch.zeros(1, 1, 2, dtype=torch.bool)
    assert masked_mse(torch.ones(1, 1, 2), torch.zeros(1, 1, 2), nothing).tolist() == [0.0]


def test_a_schedule_is_a_straight_line_and_then_flat() -> None:
    now = torch.tensor([0, 25, 50, 100, 1000])
    assert linear_schedule(1.0, 0.2, 100, now).tolist() == pytest.approx([1.0, 0.8, 0.6, 0.2, 0.2])
    assert linear_schedule(0.0, 1.0, 4, now[:2]).tolist() == pytest.approx([0.0, 1.0])
