"""Networks made of banks, against the same networks written plainly in torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from partage.nn.bank import from_rows, to_rows
from partage.nn.mixer import Mixer
from partage.nn.networks import MLP, RecurrentQ, fixed_sharing
from partage.rl.noise import generators

R, B, T, N, OBS, A, H, STATE = 2, 3, 5, 3, 4, 3, 6, 7
every_sharing = pytest.mark.parametrize("sharing", ["full", "id", "none"])


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def drqn(
    net: RecurrentQ, r: int, n: int, obs: Tensor, last: Tensor, h: Tensor
) -> tuple[Tensor, Tensor]:
    """PyMARL's agent as it is usually written, for agent n of run r: ``obs [B, T, O]``, ``last [B,
    T]``, ``h [B, H]``.

    The input is the observation, the one-hot last action and, where the network has one, the
    one-hot agent id.
    """
    s = n if net.body.sets > 1 else 0
    weight, bias = net.body.encoder.weight[r, s], net.body.encoder.bias[r, s]
    parts = [obs, functional.one_hot(last + 1, A + 1)[..., 1:].float()]
    if len(weight) > OBS + A:
        parts.append(torch.eye(N)[n].expand(*obs.shape[:2], N))
    x = functional.relu(torch.cat(parts, -1) @ weight + bias)
    cell = torch.nn.GRUCell(H, H)
    parameters = {
        "weight_ih": net.body.memory.inputs.weight[r, s].T,
        "bias_ih": net.body.memory.inputs.bias[r, s],
        "weight_hh": net.body.memory.hidden.weight[r, s].T,
        "bias_hh": net.body.memory.hidden.bias[r, s],
    }
    values = []
    for t in range(obs.shape[1]):
        h = torch.func.functional_call(cell, parameters, (x[:, t], h))
        values.append(h @ net.head.weight[r, s] + net.head.bias[r, s])
    return torch.stack(values, 1), h


def recurrent(sharing: str) -> tuple[RecurrentQ, Tensor, Tensor, Tensor, Tensor]:
    share = fixed_sharing(sharing, R, N)
    net = RecurrentQ(generators([1, 2]), share, OBS, A, H)
    last = torch.randint(-1, A, (R, B, T, N), generator=torch.Generator().manual_seed(3))
    return net, noise(0, R, B, T, N, OBS), last, noise(1, R, B, N, H), share.assignment


@every_sharing
def test_the_recurrent_network_is_a_plain_drqn_for_every_agent(sharing: str) -> None:
    net, obs, last, h, index = recurrent(sharing)
    q, after = net(obs, last, h, index)
    plain = [
        [drqn(net, r, n, obs[r, :, :, n], last[r, :, :, n], h[r, :, n]) for n in range(N)]
        for r in range(R)
    ]
    expected = torch.stack([torch.stack([q for q, _ in run], 2) for run in plain])
    torch.testing.assert_close(q, expected, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(
        after, torch.stack([torch.stack([h for _, h in run], 1) for run in plain])
    )
    parameters, weights = list(net.parameters()), noise(5, *q.shape)
    found = torch.autograd.grad((q * weights).sum(), parameters)
    for left, right in zip(
        found, torch.autograd.grad((expected * weights).sum(), parameters), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


@every_sharing
def test_acting_step_by_step_is_the_same_as_unrolling_the_episode(sharing: str) -> None:
    net, obs, last, h, index = recurrent(sharing)
    whole, after = net(obs, last, h, index)
    for t in range(T):
        q, h = net(obs[:, :, t : t + 1], last[:, :, t : t + 1], h, index)
        torch.testing.assert_close(q[:, :, 0], whole[:, :, t], rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(h, after, rtol=1e-5, atol=2e-6)


@every_sharing
def test_an_episode_begins_with_an_empty_memory(sharing: str) -> None:
    h = recurrent(sharing)[0].initial(B, N)
    assert h.shape == (R, B, N, H) and not h.any()


def test_agents_that_see_the_same_differ_only_by_their_id_or_their_own_set() -> None:
    for sharing, alike in (("full", True), ("id", False), ("none", False)):
        net, obs, last, h, index = recurrent(sharing)
        same = [x[..., :1, :].expand_as(x) for x in (obs, last[..., None], h)]
        q = net(same[0], same[1].squeeze(-1), same[2], index)[0]
        assert torch.equal(q[:, :, :, 0], q[:, :, :, 1]) == alike


@pytest.mark.parametrize("end", [False, True])
@every_sharing
def test_layers_have_relu_between_them_and_at_the_end_if_asked(sharing: str, end: bool) -> None:
    share = fixed_sharing(sharing, R, N)
    net = MLP(generators([1, 2]), share.sets, [OBS, H, H, A], agent_id=share.agent_id, end=end)
    x = noise(0, R, B, T, N, OBS)
    y = from_rows(net(to_rows(x, share.sets), share.assignment), N)
    for r in range(R):
        for n in range(N):
            now = x[r, :, :, n]
            if share.agent_id:
                now = torch.cat((now, torch.eye(N)[n].expand(B, T, N)), -1)
            for layer, bank in enumerate(net.banks):
                s = n if share.sets > 1 else 0
                now = now @ bank.weight[r, s] + bank.bias[r, s]
                now = now.relu() if end or layer < 2 else now
            torch.testing.assert_close(y[r, :, :, n], now)
    assert bool((y < 0).any()) != end


@pytest.mark.parametrize(("sharing", "sets", "ids"), [("full", 1, 0), ("id", 1, N), ("none", N, 0)])
def test_a_sharing_says_how_many_sets_there_are_and_who_uses_which(
    sharing: str, sets: int, ids: int
) -> None:
    share = fixed_sharing(sharing, R, N)
    assert (share.sets, share.agent_id) == (sets, ids)
    assert share.assignment.tolist() == [list(range(N)) if sets == N else [0] * N] * R


def plain_mixer(net: Mixer, q: Tensor, state: Tensor) -> Tensor:
    """Q_tot = |W2(s)| ELU(|W1(s)| q + b1(s)) + V(s), hypernetwork by hypernetwork."""
    hyper, embed = net.w2.weight.shape[2:]
    cut = [hyper, hyper, embed, embed]
    weights, biases = net.first.weight[:, 0].split(cut, -1), net.first.bias[:, 0].split(cut, -1)
    for_w1, for_w2, b1, for_v = (
        torch.einsum("rbts,rsh->rbth", state, w) + b[:, None, None]
        for w, b in zip(weights, biases, strict=True)
    )
    w1, w2, v = (
        torch.einsum("rbth,rho->rbto", x.relu(), bank.weight[:, 0]) + bank.bias[:, 0, None, None]
        for x, bank in ((for_w1, net.w1), (for_w2, net.w2), (for_v, net.v))
    )
    hidden = functional.elu(
        torch.einsum("rbtn,rbtne->rbte", q, w1.abs().unflatten(-1, (N, embed))) + b1
    )
    return torch.einsum("rbte,rbte->rbt", hidden, w2.abs()) + v.squeeze(-1)


def mixer(seed: int = 1) -> Mixer:
    return Mixer(generators([seed, seed + 1]), N, STATE, embed=5, hyper=8)


def test_the_mixer_is_qmix_s_equation() -> None:
    net, q, state = mixer(), noise(0, R, B, T, N).requires_grad_(), noise(1, R, B, T, STATE)
    total, expected = net(q, state), plain_mixer(net, q, state)
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=2e-6)
    leaves, weights = (q, *net.parameters()), noise(2, *total.shape)
    found = torch.autograd.grad((total * weights).sum(), leaves)
    for left, right in zip(
        found, torch.autograd.grad((expected * weights).sum(), leaves), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, N - 1), st.floats(0.01, 10.0))
def test_the_total_never_falls_when_an_agent_s_value_rises(
    seed: int, agent: int, rise: float
) -> None:
    net, q, state = mixer(seed), 3 * noise(seed, R, B, T, N), 3 * noise(seed + 1, R, B, T, STATE)
    more = q.clone()
    more[..., agent] += rise
    before, after = net(q, state), net(more, state)
    assert (after >= before - 1e-4).all() and (after > before).any()
