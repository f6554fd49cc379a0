"""SNP-PS: neurons that an agent has not are not in its values, and neither learn nor remember."""

from typing import Any

import pytest
import torch
from learning import as_in_training  # noqa: F401 (fixture)
from torch import Tensor

from partage import learners
from partage.errors import UserError
from partage.learners._masked import layers_of
from partage.learners.snp_ps import SNP
from partage.nn.bank import to_rows
from partage.nn.gru import run_gru
from partage.nn.masks import FixedMask
from partage.sims.contract import Spec

SPEC = Spec(3, n_actions=3, obs_dim=4, state_dim=12, horizon=5, common_reward=True)


def learner(**settings: Any) -> SNP:
    made = learners.make("snp_ps", SPEC, settings, [3, 4])
    assert isinstance(made, SNP)
    return made


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def kept(made: SNP) -> Tensor:
    """Which neurons of the memory each agent has ``[R, N, H]``."""
    mask = made.nets.agent.body.memory.hidden.derivation
    assert isinstance(mask, FixedMask)
    return mask.bias[..., : made.settings.hidden]


def test_a_memory_without_some_neurons_is_one_that_is_masked_after_every_step() -> None:
    made = learner(hidden=8)
    memory, mask = made.nets.agent.body.memory, kept(made)
    assert mask.any() and not mask.all()
    x = to_rows(noise(0, 2, 4, 7, 3, 8), 3)
    h = torch.zeros(2, 3, 4, 8)
    states = run_gru(x, h, memory.select(made.nets.assignment))
    assert not states[~mask[:, :, None, None].expand_as(states)].any()
    memory.inputs.derivation = memory.hidden.derivation = None
    plain = memory.select(made.nets.assignment)
    for t in range(7):
        h = run_gru(x[:, :, t : t + 1], h, plain)[:, :, 0] * mask[:, :, None]
        torch.testing.assert_close(states[:, :, t], h, rtol=1e-6, atol=1e-7)


def test_neurons_are_kept_at_the_rate_and_differ_by_agent_and_an_id_there_is_none() -> None:
    made = learner(keep=0.3, hidden=512)
    share = kept(made).float().mean((1, 2))
    assert (share - 0.3).abs().max() < 3 * (0.3 * 0.7 / (3 * 512)) ** 0.5
    assert made.nets.agent.body.encoder.agent_id == 0
    overlap = made.sharing()["layers"].overlap()  # type: ignore[union-attr]
    assert (overlap[:, 0, 1] < 1).all() and (overlap > 0).all()


def test_what_no_agent_has_never_learns() -> None:
    made = learner(hidden=16, keep=0.3)
    nobody = ~kept(made).any(1)
    obs, actions = noise(1, 2, 2, 6, 3, 4), torch.zeros(2, 2, 5, 3, dtype=torch.int64)
    made.nets.q(obs, actions).square().sum().backward()
    second = layers_of(made.nets)[1].weight.grad
    assert second is not None and nobody.any() and not second[:, 0][nobody].any()
    assert second[:, 0][~nobody].any()


def test_one_mask_is_one_policy_and_single_weights_leave_the_memory_whole() -> None:
    obs = noise(1, 2, 2, 6, 1, 4).expand(-1, -1, -1, 3, -1)
    actions = torch.zeros(2, 2, 5, 3, dtype=torch.int64)
    alike, apart = (learner(masks=x).nets.q(obs, actions) for x in ("one", "agent"))
    assert torch.equal(alike[..., 0, :], alike[..., 1, :])
    assert not torch.equal(apart[..., 0, :], apart[..., 1, :])
    by_weight = learner(cut="weights")
    assert by_weight.nets.agent.body.memory.hidden.derivation is None
    degree = by_weight.sharing()["layers"].overlap()[0, 0, 1]  # type: ignore[union-attr]
    assert abs(degree - 0.5) < 0.05


@pytest.mark.parametrize(
    ("settings", "agents", "message"),
    [
        ({"keep": 0.0}, 3, "above 0 and at most 1"),
        ({"sharing": "none"}, 3, "sharing is full, or id"),
        ({}, 1, "this task has one"),
    ],
)
def test_masks_that_cannot_be_are_refused_in_a_sentence(
    settings: dict[str, Any], agents: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        learners.make("snp_ps", SPEC._replace(n_agents=agents), settings, [0])
