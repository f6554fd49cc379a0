"""Synchronous n-step advantage actor-critic: FPS, FPS-id and NPS are settings of one program.

**Paper.** MPD §3.2: actor and critic of 4 layers of 64 units each, learning rate 3e-4, discount
0.99, entropy 0.01, value loss 0.5. The actor is split into a front (two layers) and a back (two
layers), so that agents may share either.

**Reference code.** 8 environment copies x 5 steps an update, one Adam over all networks, global
gradient norm 0.5; losses are summed over agents and averaged over time and copies; actors start
orthogonal (gain 0.5) plus Gaussian noise (0.2). Its critic has 3 layers, indexed like the back of
the actor; all critics of a run start equal, their first layer as torch.nn.Linear draws it.

**Departures.** The critic has the reference's 3 layers: with the paper's 4 (`critic_layers`), seeds
of networks that are not shared diverge (docs/fidelity.md). Returns are correct: the reference drops
the terminal reward and bootstraps from the next episode; here `terminated` cuts and `truncated`
bootstraps from the observation the episode ended on (`returns = "legacy"`: as there). Each run
draws its networks from its own seed: a critic for all its sets, actors one by one (the reference
seeds them with constants, so that all its runs start alike). `same_init` makes actors equal by the
same draw; the reference's equal actors have no noise and a last layer of gain 0.01. Biases start at
zero but for the noise, where the reference's first layers of front and back have torch's default.
The dead's choices and entropy do not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float32
from torch import Tensor, nn

from partage.kernels.acting import Bank
from partage.learners._a2c_actor import Actor
from partage.nn.bank import Rows, from_rows, linear_init, make_sets_equal, orthogonal_init, to_rows
from partage.nn.dense import apply_layers
from partage.nn.networks import MLP, FixedSharing, fixed_sharing
from partage.nn.optimiser import Optimiser
from partage.nn.per_run import Each, along, first
from partage.nn.pointwise import log_softmax
from partage.nn.state import hold, load, move, used
from partage.rl.graphs import PartOf, from_host
from partage.rl.losses import n_step_returns
from partage.rl.noise import Streams, generators
from partage.rl.on_card import draw_ahead, take_back
from partage.rl.rollout import Rollout
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec, stream

PER_RUN = True  # in a pack of several cells
Sharing = Literal["full", "id", "none", "front"]


@dataclass(frozen=True)
class Settings:
    """The settings of the actor-critic baselines."""

    # full: FPS; id: FPS-id, a one-hot id in the input; none: NPS; front: actor's front only (MDPS)
    sharing: Sharing = "full"  # MPD §3.2
    copies: int = 8  # environment copies   (reference code)
    segment: int = 5  # transitions of each copy in an update   (reference code)
    hidden: int = 64  # units a layer   (MPD §3.2)
    critic_layers: int = 3  # layers of the critic   (reference code; MPD §3.2 has 4)
    lr: Each[float] = 3e-4  # Adam   (MPD §3.2)
    adam_eps: float = 1e-5  # Adam's epsilon   (reference code)
    gamma: Each[float] = 0.99  # discount   (MPD §3.2)
    entropy: Each[float] = 0.01  # weight of the entropy bonus   (MPD §3.2)
    value: Each[float] = 0.5  # weight of the value loss   (MPD §3.2)
    clip: Each[float] = 0.5  # global gradient norm of a run   (reference code)
    init_gain: float = 0.5  # orthogonal gain of the actor's layers   (reference code)
    init_noise: float = 0.2  # standard deviation of the noise added to them   (reference code)
    # all actors of a run start equal   (MPD Fig. 2; reference code: initial_as_the_same)
    same_init: bool = False
    # reference: all critics of a run start equal, their first layer as torch's default has it;
    # equal: with an orthogonal first layer; apart: each drawn for itself, orthogonal   [M12]
    critic_init: Literal["reference", "equal", "apart"] = "reference"
    # legacy: the reference's recursion, which drops a terminal reward and runs on into the next
    # episode
    returns: Literal["correct", "legacy"] = "correct"


class ActorCritic(nn.Module):
    """Actor ``back(front(o))`` and critic; the critic is shared as the actor's back is.

    A learner that moves the sharing gives `share` its banks' size, and moves `front_of` and
    `back_of` (`partage.nn.state.share`).
    """

    front_of: Assignment
    back_of: Assignment

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        seeds: Sequence[int],
        share: FixedSharing | None = None,
    ) -> None:
        super().__init__()
        s, runs = settings, len(seeds)
        kind = "none" if s.sharing == "front" else s.sharing
        share = share or fixed_sharing(kind, runs, spec.n_agents)
        self.sets, front_of = share.sets, share.assignment
        if s.sharing == "front":
            front_of = assignment.full(runs, spec.n_agents)
        hold(self, front_of=front_of, back_of=share.assignment)
        g = generators([stream(seed, "networks") for seed in seeds])
        h, actor = s.hidden, orthogonal_init(s.init_gain, s.init_noise)
        self.front = MLP(g, self.sets, [spec.obs_dim, h, h], actor, share.agent_id, end=True)
        self.back = MLP(g, self.sets, [h, h, spec.n_actions], actor)
        critic_sizes = [spec.obs_dim, *[h] * (s.critic_layers - 1), 1]
        critic = orthogonal_init(2**0.5)
        first = linear_init if s.critic_init == "reference" else critic
        self.critic = MLP(g, self.sets, critic_sizes, critic, share.agent_id, first=first)
        if s.same_init:
            make_sets_equal(nn.ModuleList([self.front, self.back]))
        if s.critic_init != "apart":
            make_sets_equal(self.critic)

    def logits(self, rows: Rows) -> Float32[Tensor, "R G T M A"]:
        """Return the actor's logits for observations laid out as rows."""
        front, back = used(self, "front_of"), used(self, "back_of")
        return apply_layers(rows, [*self.front.select(front), *self.back.select(back)])

    def in_place(self) -> tuple[Bank, ...]:
        """Return the actor's layers for compiled acting: views of the parameters."""
        return (*self.front.in_place(self.front_of), *self.back.in_place(self.back_of))

    def values(self, rows: Rows) -> Float32[Tensor, "R G T M 1"]:
        """Return the critic's values of observations laid out as rows."""
        return self.critic(rows, used(self, "back_of"))


class A2C:
    """Learns policies and values from segments of a few transitions of each copy."""

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        seeds: Sequence[int],
        device: torch.device,
        share: FixedSharing | None = None,  # of the banks made here, if a learner moves it
        net: ActorCritic | None = None,  # None: made here
    ) -> None:
        self.settings, self.n_agents, self.device = settings, spec.n_agents, device
        self.copies, self.segment, s = settings.copies, settings.segment, settings
        self.net = net or ActorCritic(spec, settings, seeds, share)
        move(self.net, device)
        self.policy = Actor(self.net, spec, seeds, device)
        adam = partial(torch.optim.Adam, lr=first(s.lr), eps=s.adam_eps, fused=True)
        self.optimiser = Optimiser(self.net, adam, s.clip, s.lr)
        self.streams = Streams(self.policy.generators)
        self.active = torch.ones(len(seeds), dtype=torch.bool)  # runs of the update under way
        self.updating = PartOf(self._update, device)

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Take one step down policy, value and entropy losses   (A2C; MPD §3.2)."""
        self.active = rollout.active
        update = self._update if rollout.filled.device.type == "cpu" else self.updating
        measures = update(rollout)
        self.streams.settle(self.active)
        draw_ahead(self.policy)
        return measures

    def _update(self, rollout: Rollout) -> dict[str, Tensor]:
        """Take the step, of the runs that are `active`."""
        s = self.settings
        rows = to_rows(rollout.obs.to(self.device), self.net.sets)
        value = self._per_agent(self.net.values(rows))  # [R, B, T + 1, N]
        advantage = self._returns(rollout, value[:, :, 1:].detach()) - value[:, :, :-1]

        logits = from_rows(self.net.logits(rows[:, :, :-1]), self.n_agents)
        avail = rollout.avail_actions[:, :, :-1].to(self.device)
        log_pi = log_softmax(logits.masked_fill(~avail, -1e9))
        actions = rollout.actions.to(self.device)[..., None]
        log_pi_chosen = log_pi.gather(-1, actions).squeeze(-1)
        filled = rollout.filled[..., None].to(self.device)
        alive = rollout.alive[:, :, :-1].to(self.device) & filled

        policy_loss = _sum_over_agents(-advantage.detach() * log_pi_chosen, alive)
        entropy = _sum_over_agents(-(log_pi.exp() * log_pi).sum(-1), alive)
        # the dead's too: what was before them is bootstrapped from it
        value_loss = _sum_over_agents(advantage.square(), filled)
        loss = policy_loss - along(s.entropy, entropy) * entropy
        loss = loss + along(s.value, value_loss) * value_loss
        norm = self.optimiser.step(loss, from_host(lambda: self.active).to(self.device))
        return {
            "policy_loss": policy_loss.detach(),
            "value_loss": value_loss.detach(),
            "entropy": entropy.detach(),
            "gradient_norm": norm.detach(),
        }

    def _returns(
        self, rollout: Rollout, next_value: Float32[Tensor, "R B T N"]
    ) -> Float32[Tensor, "R B T N"]:
        """Return the n-step returns, given the values of what followed each transition."""
        reward, terminated = rollout.reward.to(self.device), rollout.terminated.to(self.device)
        truncated, gamma = rollout.truncated.to(self.device), self.settings.gamma
        if self.settings.returns == "legacy":
            never = torch.zeros_like(terminated)
            reward = reward.masked_fill(terminated[..., None], 0.0)
            return n_step_returns(reward, next_value, never, never, gamma)
        if rollout.final_obs is not None:
            with torch.no_grad():
                rows = to_rows(rollout.final_obs.to(self.device), self.net.sets)
                final_value = self._per_agent(self.net.values(rows))
            next_value = torch.where(truncated[..., None], final_value, next_value)
        return n_step_returns(reward, next_value, terminated, truncated, gamma)

    def _per_agent(self, rows: Rows) -> Float32[Tensor, "R B T N"]:
        """Return the critic's rows as each agent's values."""
        return from_rows(rows, self.n_agents).squeeze(-1)

    def copy_set(self, block: str, run: int, source: int, target: int) -> None:
        """Make set `target` of a block what set `source` is, values and moments."""
        networks = [self.net.front] if block == "front" else [self.net.back, self.net.critic]
        for network in networks:
            self.optimiser.copy_set(network, run, source, target)

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return each agent's policy on its own observations, availability left aside."""
        logits = self.net.logits(to_rows(obs.to(self.device), self.net.sets))
        return from_rows(log_softmax(logits).exp(), self.n_agents)

    def sharing(self) -> Mapping[str, Assignment | Shares]:
        """Return who goes through which set, block by block."""
        return {"front": self.net.front_of, "back": self.net.back_of}

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; there is no replay."""
        take_back(self.policy)
        return {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generators": [g.get_state() for g in self.policy.generators],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        before_buffers = {f"{block}_of": x for block, x in state.get("sharing", {}).items()}
        load(self.net, before_buffers | state["net"])
        self.optimiser.load(state["optimiser"])
        take_back(self.policy)
        self.streams.restore(state["generators"])


def _sum_over_agents(
    x: Float32[Tensor, "R B T N"], counts: Bool[Tensor, "R B T _"]
) -> Float32[Tensor, "R"]:
    """Return the sum over the agents that count, mean over copies and time."""
    return (x * counts).sum(3).mean((1, 2))


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> A2C:
    """Return the actor-critic for this task, one run per seed."""
    return A2C(spec, settings, seeds, device)
