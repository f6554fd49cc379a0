"""Leaving out what lies behind the ends of episodes: not a bit of QMIX's update may change."""

from typing import Any

import pytest
import torch
from torch import Tensor

from partage import learners
from partage.learners import qmix
from partage.nn import real
from partage.nn.real import real_instants, real_rows
from partage.sims.contract import Spec

SPEC = Spec(n_agents=3, n_actions=5, obs_dim=7, state_dim=11, horizon=9, common_reward=True)
LENGTHS = torch.tensor([[9, 2, 5, 1], [3, 3, 0, 4]])  # of two runs' episodes; one is not there


def batch() -> dict[str, Tensor]:
    """Return padded episodes of these lengths, which behind their ends are zeros."""
    generator = torch.Generator().manual_seed(0)
    (runs, copies), time, n = LENGTHS.shape, 9, SPEC.n_agents
    filled = torch.arange(time) < LENGTHS[..., None]
    there = real_instants(filled)
    shape = runs, copies, time + 1
    obs = torch.randn(*shape, n, SPEC.obs_dim, generator=generator) * there[..., None, None]
    state = torch.randn(*shape, SPEC.state_dim, generator=generator) * there[..., None]
    avail = torch.rand(*shape, n, SPEC.n_actions, generator=generator) < 0.7
    avail[..., 0] = True
    return {
        "obs": obs,
        "state": state,
        "avail_actions": avail & there[..., None, None],
        "actions": torch.randint(5, (runs, copies, time, n), generator=generator)
        * filled[..., None],
        "terminated": torch.arange(time) == LENGTHS[..., None] - 1,
        "team_reward": torch.randn(runs, copies, time, generator=generator) * filled,
        "filled": filled,
    }


@pytest.mark.parametrize("sharing", ["id", "full", "none"])
def test_leaving_out_what_is_behind_an_episode_s_end_changes_no_bit_of_qmix(
    sharing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, padded = (learners.make("qmix", SPEC, {"sharing": sharing}, [0, 1]) for _ in range(2))
    assert isinstance(short, qmix.QMIX) and isinstance(padded, qmix.QMIX)
    walked = count_rows(monkeypatch)
    found = learn(short)
    every = walk_everything(monkeypatch)
    expected = learn(padded)
    assert walked and set(walked) == {int((LENGTHS + 1).sum()) * SPEC.n_agents}
    assert every and found == expected
    pairs = zip(short.nets.parameters(), padded.nets.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def learn(learner: qmix.QMIX) -> list[dict[str, list[float]]]:
    """Return the measures of three updates."""
    updates = [learner.update(batch(), torch.ones(2, dtype=torch.bool)) for _ in range(3)]
    return [{name: x.tolist() for name, x in measures.items()} for measures in updates]


def count_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that receives how many rows go through the GRU at each pass."""
    walked: list[int] = []
    plain = real.run_gru_sorted

    def counting(x: Tensor, *others: Any) -> Tensor:
        walked.append(len(x))
        return plain(x, *others)

    monkeypatch.setattr(real, "run_gru_sorted", counting)
    return walked


def walk_everything(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have QMIX's networks read what is behind the ends, too; the list receives each pass."""
    passes: list[int] = []

    def all_values(agent: Any, obs: Tensor, last_action: Tensor, h: Tensor, _: Tensor) -> Tensor:
        passes.append(1)
        return agent(obs, last_action, h)[0]

    monkeypatch.setattr(qmix, "real_values", all_values)
    return passes


def test_a_real_row_follows_the_one_of_its_copy_an_instant_earlier() -> None:
    # one run, one group, two instants; of three rows the second ends after the first instant
    there = torch.tensor([[[[True, True, True], [True, False, True]]]])
    rows = real_rows(there, 1)
    assert rows.places.tolist() == [0, 1, 2, 3, 5] and rows.bounds.tolist() == [0, 5]
    assert rows.order.before.tolist() == [-1, -2, -3, 0, 2]
    assert rows.order.bounds.tolist() == [[[0, 3]], [[3, 5]]]
