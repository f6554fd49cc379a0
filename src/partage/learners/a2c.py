"""Synchronous n-step advantage actor-critic with banked networks: FPS, FPS-id and NPS are settings
of one program.

**Paper.** MPD §3.2: actor and critic of 4 layers of 64 units each, learning rate 3e-4, discount
0.99, entropy 0.01, value loss 0.5. The actor is split into a front (two layers) and a back (two
layers), so that agents may share either.

**Reference code.** 8 environment copies x 5 steps an update, one Adam over all networks, global
gradient norm 0.5; losses are summed over agents and averaged over time and copies; actors start
orthogonal (gain 0.5) plus Gaussian noise (0.2). Its critic has 3 layers, indexed like the back of
the actor.

**Departures.** The critic has the reference's 3 layers: with the paper's 4 (`critic_layers`), seeds
of networks that are not shared diverge (docs/fidelity.md). Returns are correct: the reference drops
the terminal reward and bootstraps from the next episode; here `terminated` cuts and `truncated`
bootstraps from the observation the episode ended on. Each run draws its networks from its own seed
(the reference seeds them with a constant). `returns = "legacy"` and `same_init` bring the
reference's choices back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float32
from torch import Tensor, device, nn

from partage.nn.bank import Rows, from_rows, orthogonal_init, to_rows
from partage.nn.dense import apply_layers
from partage.nn.networks import MLP, FixedSharing, fixed_sharing
from partage.nn.optimiser import Optimiser
from partage.nn.pointwise import categorical, log_softmax
from partage.rl.losses import n_step_returns
from partage.rl.noise import generators, restore, uniform
from partage.rl.rollout import Choice, Rollout
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, TimeStep, stream

Sharing = Literal["full", "id", "none", "front"]


@dataclass(frozen=True)
class Settings:
    # full: FPS; id: FPS-id, a one-hot id in the input; none: NPS; front: the actor's front only, as
    # MDPS begins
    sharing: Sharing = "full"  # MPD §3.2
    copies: int = 8  # environment copies   (reference code)
    segment: int = 5  # transitions of each copy an update   (reference code)
    hidden: int = 64  # units a layer   (MPD §3.2)
    critic_layers: int = 3  # reference code; MPD §3.2 has 4
    lr: float = 3e-4  # Adam   (MPD §3.2)
    adam_eps: float = 1e-5  # reference code
    gamma: float = 0.99  # discount   (MPD §3.2)
    entropy: float = 0.01  # weight of the entropy bonus   (MPD §3.2)
    value: float = 0.5  # weight of the value loss   (MPD §3.2)
    clip: float = 0.5  # global gradient norm of a run   (reference code)
    init_gain: float = 0.5  # orthogonal gain of the actor's layers   (reference code)
    init_noise: float = 0.2  # standard deviation of the noise added to them   (reference code)
    same_init: bool = (
        False  # all sets of a run start equal   (MPD Fig. 2; reference code: initial_as_the_same)
    )
    # legacy: the reference's recursion, which drops a terminal reward and runs on into the next
    # episode
    returns: Literal["correct", "legacy"] = "correct"


class ActorCritic(nn.Module):
    """Actor ``back(front(o))`` and critic; the critic is shared as the actor's back is.

    A learner that moves the sharing gives `share` its banks' size, and moves `front_of` and
    `back_of`.
    """

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        seeds: Sequence[int],
        share: FixedSharing | None = None,
    ) -> None:
        super().__init__()
        share = share or fixed_sharing(
            "none" if settings.sharing == "front" else settings.sharing, len(seeds), spec.n_agents
        )
        self.sets, self.front_of, self.back_of = share.sets, share.assignment, share.assignment
        if settings.sharing == "front":
            self.front_of = assignment.full(len(seeds), spec.n_agents)
        g = generators([stream(seed, "networks") for seed in seeds])
        h, actor = settings.hidden, orthogonal_init(settings.init_gain, settings.init_noise)
        self.front = MLP(g, self.sets, [spec.obs_dim, h, h], actor, share.agent_id, end=True)
        self.back = MLP(g, self.sets, [h, h, spec.n_actions], actor)
        sizes = [spec.obs_dim, *[h] * (settings.critic_layers - 1), 1]
        self.critic = MLP(g, self.sets, sizes, orthogonal_init(2**0.5), share.agent_id)
        if settings.same_init:
            for parameter in self.parameters():
                parameter.data[:] = parameter.data[:, :1].clone()

    def logits(self, rows: Rows) -> Float32[Tensor, "R G T M A"]:
        return apply_layers(
            rows, [*self.front.select(self.front_of), *self.back.select(self.back_of)]
        )

    def values(self, rows: Rows) -> Float32[Tensor, "R G T M 1"]:
        return self.critic(rows, self.back_of)


class Actor:
    """Samples from the policy when exploring, takes its most probable action when not."""

    def __init__(self, net: ActorCritic, spec: Spec, seeds: Sequence[int], where: device) -> None:
        self.net, self.n_agents, self.where = net, spec.n_agents, where
        self.generators = generators([stream(seed, "actions") for seed in seeds])

    def initial(self, copies: int, explore: bool) -> None:
        return None

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: None, explore: bool) -> tuple[Choice, None]:
        obs = step.obs.to(self.where)
        logits = from_rows(self.net.logits(to_rows(obs[:, :, None], self.net.sets)), self.n_agents)[
            :, :, 0
        ]
        avail = step.avail_actions.to(self.where)
        if not explore:
            return Choice(logits.masked_fill(~avail, -torch.inf).argmax(-1).cpu()), memory
        level = uniform(self.generators, *logits.shape[1:3]).to(self.where)
        return Choice(categorical(logits, avail, level).cpu()), memory


class A2C:
    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        seeds: Sequence[int],
        where: device,
        share: FixedSharing | None = None,
    ) -> None:
        self.settings, self.n_agents, self.where = settings, spec.n_agents, where
        self.copies, self.segment = settings.copies, settings.segment
        self.net = ActorCritic(spec, settings, seeds, share).to(where)
        self.policy = Actor(self.net, spec, seeds, where)
        adam = partial(torch.optim.Adam, lr=settings.lr, eps=settings.adam_eps, fused=True)
        self.optimiser = Optimiser(self.net, adam, settings.clip)

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        s, now = self.settings, slice(0, -1)
        x = to_rows(rollout.obs.to(self.where), self.net.sets)
        value = self._per_agent(self.net.values(x))
        returns = self._returns(rollout, value[:, :, 1:].detach())
        advantage = returns - value[:, :, now]

        logits = from_rows(self.net.logits(x[:, :, now]), self.n_agents)
        avail = rollout.avail_actions[:, :, now].to(self.where)
        log_pi = log_softmax(logits.masked_fill(~avail, -1e9))
        chosen = log_pi.gather(-1, rollout.actions.to(self.where)[..., None]).squeeze(-1)
        filled = rollout.filled[..., None].to(self.where)
        alive = rollout.alive[:, :, now].to(self.where) & filled

        policy_loss = _total(-advantage.detach() * chosen, alive)
        entropy = _total(-(log_pi.exp() * log_pi).sum(-1), alive)
        value_loss = _total(
            advantage.square(), filled
        )  # the dead's too: what was before them is bootstrapped from it
        loss = policy_loss - s.entropy * entropy + s.value * value_loss
        norm = self.optimiser.step(loss)
        measures = {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "gradient_norm": norm,
        }
        return {name: x.detach() for name, x in measures.items()}

    def _returns(self, rollout: Rollout, next_value: Tensor) -> Tensor:
        truncated, values_ahead = rollout.truncated.to(self.where), next_value
        if rollout.final_obs is not None:
            with torch.no_grad():
                final = self._per_agent(
                    self.net.values(to_rows(rollout.final_obs.to(self.where), self.net.sets))
                )
            next_value = torch.where(truncated[..., None], final, next_value)
        reward, terminated = rollout.reward.to(self.where), rollout.terminated.to(self.where)
        if self.settings.returns == "legacy":
            reward, never = (
                reward.masked_fill(terminated[..., None], 0.0),
                torch.zeros_like(terminated),
            )
            return n_step_returns(reward, values_ahead, never, never, self.settings.gamma)
        return n_step_returns(reward, next_value, terminated, truncated, self.settings.gamma)

    def _per_agent(self, rows: Rows) -> Float32[Tensor, "R B T N"]:
        return from_rows(rows, self.n_agents).squeeze(-1)

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Each agent's policy on its own column of observations, availability left aside."""
        logits = self.net.logits(to_rows(obs.to(self.where), self.net.sets))
        return from_rows(log_softmax(logits).exp(), self.n_agents)

    def sharing(self) -> dict[str, Assignment]:
        return {"front": self.net.front_of, "back": self.net.back_of}

    def state_dict(self, replay: bool = True) -> dict[str, Any]:  # there is none
        return {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.torch.state_dict(),
            "sharing": self.sharing(),
            "generators": [g.get_state() for g in self.policy.generators],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimiser.torch.load_state_dict(state["optimiser"])
        self.net.front_of, self.net.back_of = state["sharing"]["front"], state["sharing"]["back"]
        restore(self.policy.generators, state["generators"])


class Around:
    """What learners share that are an actor-critic and something that moves its sharing."""

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        seeds: Sequence[int],
        where: device,
        share: FixedSharing | None = None,
    ) -> None:
        self.base = A2C(spec, settings, seeds, where, share)
        self.policy, self.copies, self.segment = (
            self.base.policy,
            self.base.copies,
            self.base.segment,
        )
        self.generators = generators([stream(seed, "codes") for seed in seeds])
        self.updates = 0
        self.kept: Any = []  # experience that the next move of the sharing is decided on

    def probabilities(self, obs: Tensor, actions: Tensor) -> Tensor:
        return self.base.probabilities(obs, actions)

    def sharing(self) -> dict[str, Assignment]:
        return self.base.sharing()

    def state_dict(self, replay: bool = True) -> dict[str, Any]:  # there is none
        return {
            "base": self.base.state_dict(),
            "generators": [g.get_state() for g in self.generators],
            "updates": self.updates,
            "kept": self.kept,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.base.load_state_dict(state["base"])
        restore(self.generators, state["generators"])
        self.updates, self.kept = state["updates"], state["kept"]


def _total(x: Float32[Tensor, "R B T N"], counts: Tensor) -> Float32[Tensor, "R"]:
    """Sum over the agents that count, mean over copies and time."""
    return (x * counts).sum(3).mean((1, 2))


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> A2C:
    return A2C(spec, settings, seeds, where)
