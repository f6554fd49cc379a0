"""HyperMARL: what its generators begin with, and that the simplest of them is no sharing."""

from functools import partial
from typing import Any

import pytest
import torch
from learning import as_in_training  # noqa: F401 (fixture)
from torch import Tensor

from partage import learners
from partage.errors import UserError
from partage.learners.hypermarl import HyperMARL
from partage.learners.ppo import PPO
from partage.nn.bank import Bank, Sets
from partage.nn.optimiser import Optimiser
from partage.nn.tangents import banks
from partage.sims.contract import Spec

SPEC = Spec(4, n_actions=9, obs_dim=16, state_dim=12, horizon=5, common_reward=True)


def learner(spec: Spec = SPEC, seeds: tuple[int, ...] = (0,), **settings: Any) -> HyperMARL:
    made = learners.make("hypermarl", spec, settings, list(seeds))
    assert isinstance(made, HyperMARL)
    return made


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def generated(made: HyperMARL) -> list[Sets]:
    return [bank.sets() for bank in banks(made.net)]


def gain(sets: Sets) -> float:
    """The root mean square over agents and columns, in units of an orthogonal matrix of gain 1."""
    inputs, outputs = sets.weight.shape[2:]
    return float((sets.weight.detach().square().mean() * max(inputs, outputs)).sqrt())


def test_linear_in_one_hot_codes_without_a_constant_it_is_no_sharing_to_the_last_bit() -> None:
    plain: dict[str, Any] = {"generator": "linear", "codes": "one-hot", "constant": False}
    made = learner(seeds=(4, 5), **plain)
    own = learners.make("ppo", SPEC, {"sharing": "none"}, [4, 5])
    assert isinstance(own, PPO)
    for bank, theirs in zip(banks(made.net), banks(own.net), strict=True):
        assert isinstance(bank, Bank) and not isinstance(bank.weight, torch.nn.Parameter)
        theirs.weight.data[:], theirs.bias.data[:] = bank.sets()
    adam = partial(torch.optim.Adam, lr=0.01)
    optimisers = [Optimiser(each.net, adam, 0.5) for each in (made, own)]
    obs, state = noise(0, 2, 3, 4, 4, 16), torch.zeros(2, 3, 4, 12)
    for step in range(20):
        for each, optimiser in zip((made, own), optimisers, strict=True):
            logits, values = each.net.logits(obs), each.net.values(obs, state)
            loss = (logits * noise(step, *logits.shape)).flatten(1).sum(1)
            optimiser.step(loss + values.square().flatten(1).sum(1))
    for bank, theirs in zip(banks(made.net), banks(own.net), strict=True):
        for found, expected in zip(bank.sets(), theirs.sets(), strict=True):
            assert torch.equal(found, expected)
    assert torch.equal(made.sharing()["front"].overlap()[0], torch.eye(4))  # type: ignore[union-attr]


def test_generated_layers_start_at_their_gains_and_biases_at_zero() -> None:
    linear = learner(generator="linear", codes="one-hot")
    first = generated(linear)[0].weight[0]  # [N, 16, 64]
    eye = (first @ first.transpose(1, 2)) / 2
    torch.testing.assert_close(eye, torch.eye(16).expand(4, -1, -1), rtol=0, atol=1e-5)
    for made in (linear, learner(), learner(generated_init="scaled")):
        assert not any(sets.bias.any() for sets in generated(made))
    logits = linear.net.logits(noise(1, 1, 2, 1, 4, 16) / 4)
    assert (logits.amax(-1) - logits.amin(-1)).max() < 0.05


@pytest.mark.parametrize("memory", ["none", "both"])
def test_scaled_starts_at_the_gain_that_the_papers_start_misses(memory: str) -> None:
    more = {"experience": "episodes", "memory": memory} if memory == "both" else {}
    sizes: dict[str, Any] = {"code": 4, "generator_hidden": 64, "hidden": 64, **more}
    paper, scaled = (learner(generated_init=x, **sizes) for x in ("paper", "scaled"))
    found = []
    for made in (paper, scaled):
        part, place = (made.net.actor.head, 0) if memory == "both" else (made.net.actor, 1)
        found.append(gain(list(banks(part))[place].sets()))  # a square hidden layer
    assert found[1] == pytest.approx(2**0.5, rel=0.02)
    assert abs(found[0] / 2**0.5 - 1) > 0.1


def test_codes_are_of_actor_and_critic_together_unless_their_gradients_are_apart() -> None:
    together = learner()
    mappo = learner(critic="state", norms="each")
    for made, tables in ((together, 1), (mappo, 2)):
        codes = {id(bank.derivation.code) for bank in banks(made.net)}  # type: ignore[union-attr]
        assert len(codes) == tables
    values = mappo.net.values(noise(0, 1, 2, 3, 4, 16), noise(1, 1, 2, 3, 12))
    assert not torch.equal(values[..., 0], values[..., 1]), "it values one state for each agent"


def test_a_recurrent_one_has_its_first_layer_and_memory_in_common() -> None:
    made = learner(memory="both", experience="episodes")
    blocks = made.sharing()
    assert (blocks["front"].overlap() == 1).all()  # type: ignore[union-attr]
    assert (blocks["back"].overlap()[0] < 1).any()  # type: ignore[union-attr]
    logits = made.net.logits(noise(0, 1, 2, 3, 1, 16).expand(-1, -1, -1, 4, -1))
    assert not torch.equal(logits[..., 0, :], logits[..., 1, :])


def test_as_many_parameters_as_counted_by_hand() -> None:
    """Of observations of 16, 9 actions, two layers of 64 and 4 agents   (HyperMARL's code)."""
    one_hot: dict[str, Any] = {"generator": "linear", "codes": "one-hot"}
    more: list[dict[str, Any]] = [{**one_hot, "constant": False}, one_hot, {"generator_hidden": 64}]
    nets = [learner(**x).net for x in more]
    counts = [sum(map(Tensor.numel, net.parameters())) for net in nets]
    assert counts == [44_584, 55_730, 728_346]


def test_a_network_that_sees_ids_or_codes_of_nothing_are_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match="the id is in the code alone: sharing is full"):
        learner(sharing="id")
    with pytest.raises(UserError, match="'code'"):
        learner(code=0)
