"""PPO of many agents: IPPO and MAPPO, feed-forward and recurrent, are settings of one program.

**Papers.** Schulman et al. 2017 (the clipped surrogate); de Witt et al. 2020 (IPPO: critics see
observations); Yu et al. 2022 (MAPPO: critics see the state). The mean is over agents, copies and
time, where A2C sums over agents: an entropy weight of 0.01 here is 0.01 N there.

**Reference code.** Five families are called by these names and differ in nearly all that matters;
each difference is a setting, with what each does beside it. By default it is JaxMARL's form:
generalised advantages, 4 epochs of 4 minibatches, clip 0.2, one Adam and one gradient norm.

**Departures.** Layers end in ReLU, where JaxMARL has tanh on MPE; on-policy's layer norms and
chunks of 10 steps, EPyMARL's target networks and a body that actor and critic share are left out:
recurrent networks learn from whole episodes. A time limit bootstraps (`terminated` cuts); all
families value beyond it wrongly, and tasks have `time_limit = "terminal"` for what they do. Old
probabilities are computed anew before the first epoch, which gives a ratio of exactly 1. One rule
holds whoever shares: advantages are normalised over all living agents together, once, minibatches
hold all agents of an instant, and a run has one gradient norm over all its sets; the peers
normalise and clip agent by agent where these do not share. Values are clipped in the units of
`value_norm`: in raw ones a critic of returns of hundreds hardly moves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.learners import _ppo_settings
from partage.learners._ppo_actor import Actor
from partage.learners._ppo_batch import (
    Batch,
    Minibatches,
    by_instant,
    log_policy,
    of_actions,
    on_device,
)
from partage.learners._ppo_networks import Networks
from partage.nn.networks import FixedSharing
from partage.nn.optimiser import Optimiser
from partage.nn.per_run import along, each, first
from partage.nn.pointwise import log_softmax
from partage.nn.state import load, move
from partage.rl.advantages import gae, mean_of, n_step_targets, normalised
from partage.rl.noise import Streams
from partage.rl.rollout import Rollout
from partage.rl.running import RewardNorm, ValueNorm
from partage.rl.surrogate import annealed, entropy_of, policy_terms, value_terms
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec

QUICK = {"copies": 8, "segment": 16, "minibatches": 2}  # on the small tasks of its tests
PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(_ppo_settings.Settings):
    """PPO has the settings that all learners on it have, and no others."""


class PPO:
    """Learns policies and values from the same experience, epoch after epoch.

    A learner that moves the sharing gives `share` its banks' size, and moves ``net.front_of`` and
    ``net.back_of`` (`partage.nn.state.share`).
    """

    def __init__(
        self,
        spec: Spec,
        settings: _ppo_settings.Settings,
        seeds: Sequence[int],
        device: torch.device,
        share: FixedSharing | None = None,
        net: Networks | None = None,
    ) -> None:
        _ppo_settings.check(settings, spec)
        self.settings, self.n_agents, self.device = settings, spec.n_agents, device
        s, whole_episodes = settings, settings.experience == "episodes"
        self.copies, self.segment = s.copies, None if whole_episodes else s.segment
        self.net = net or Networks(spec, s, seeds, share)
        move(self.net, device)
        self.policy = Actor(self.net, spec, whole_episodes, seeds, device)
        self.minibatches = Minibatches(seeds, s.minibatches)
        self._make_optimisers()
        shape = len(seeds), s.copies, spec.n_agents
        self.value_norm = ValueNorm(len(seeds), s.value_norm_decay, s.value_norm, device)
        self.reward_norm = RewardNorm(shape, s.reward_scale, s.gamma, device)
        self.streams = Streams([*self.policy.generators, *self.minibatches.generators])
        self.updates = 0

    def _make_optimisers(self) -> None:
        """Make one optimiser of all networks, or one of the actor and one of the critic."""
        s = self.settings
        adam = partial(torch.optim.Adam, lr=first(s.lr), eps=s.adam_eps, fused=True)
        how, apart = (adam, s.clip_norm, s.lr), s.norms == "each"
        self.optimiser = Optimiser(self.net.actor if apart else self.net, *how)
        self.critic_optimiser = Optimiser(self.net.critic, *how) if apart else None

    def _optimisers(self) -> list[Optimiser]:
        return [x for x in (self.optimiser, self.critic_optimiser) if x]

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Take the steps of all epochs; return the measures' means over them."""
        s, active = self.settings, rollout.active.to(self.device)
        for optimiser in self._optimisers():
            optimiser.set_rate(each(lambda lr: annealed(lr, self.updates, s.anneal), s.lr))
        batch = self._batch(rollout)
        sums: dict[str, Tensor] = {}
        for _ in range(s.epochs):
            for part in self.minibatches(batch):
                for name, x in self._step(part, active).items():
                    sums[name] = sums[name] + x if name in sums else x
        self.updates += 1
        self.streams.settle(rollout.active)
        return {name: x / (s.epochs * s.minibatches) for name, x in sums.items()}

    @torch.no_grad()
    def _batch(self, rollout: Rollout) -> Batch:
        """Return what is learned from: what was, and how likely and good it was thought before."""
        s, rollout = self.settings, on_device(rollout, self.device)
        obs, avail = rollout.obs[:, :, :-1], rollout.avail_actions[:, :, :-1]
        valued = rollout.filled[..., None].expand_as(rollout.reward)
        acting = valued & rollout.alive[:, :, :-1] if s.dead == "out" else valued
        value = self.net.values(rollout.obs, rollout.state)
        advantage, target = self._advantage(rollout, self.value_norm.denormalise(value))
        self.value_norm.update(target, valued)
        if s.normalise in ("batch", "agent"):
            advantage = normalised(advantage, acting, s.normalise == "agent")
        log_pi = log_policy(self.net.logits(obs), avail)
        batch = Batch(
            obs=obs,
            state=rollout.state[:, :, :-1] if self.net.on_state else rollout.state[:, :, :-1, :0],
            avail_actions=avail,
            actions=rollout.actions,
            acting=acting,
            valued=valued,
            log_probability=of_actions(log_pi, rollout.actions),
            value=value[:, :, :-1],
            advantage=advantage,
            target=self.value_norm.normalise(target),
        )
        return batch if self.segment is None else by_instant(batch)

    def _advantage(
        self, rollout: Rollout, value: Float32[Tensor, "R B T1 N"]
    ) -> tuple[Float32[Tensor, "R B T N"], Float32[Tensor, "R B T N"]]:
        """Return the advantages, and what values should be: both in the returns' units."""
        s, now, after = self.settings, value[:, :, :-1], self._next_value(rollout, value)
        flags = rollout.terminated, rollout.truncated
        reward = self.reward_norm(rollout.reward, flags[0] | flags[1], rollout.filled)
        if s.advantage == "n-step":
            target = n_step_targets(reward, after, *flags, s.gamma, s.n_steps)
            return target - now, target
        advantage = gae(reward, now, after, *flags, s.gamma, s.gae_lambda)
        return advantage, advantage + now

    def _next_value(
        self, rollout: Rollout, value: Float32[Tensor, "R B T1 N"]
    ) -> Float32[Tensor, "R B T N"]:
        """Return the values of what followed each transition within its episode."""
        after = value[:, :, 1:].clone()
        if rollout.final_obs is None or rollout.final_state is None:
            return after
        cut = rollout.truncated.any(0).any(0).nonzero().flatten()  # instants: few of them
        last = self.net.values(rollout.final_obs[:, :, cut], rollout.final_state[:, :, cut])
        last = self.value_norm.denormalise(last)
        after[:, :, cut] = torch.where(rollout.truncated[:, :, cut, None], last, after[:, :, cut])
        return after

    def _step(self, part: Batch, active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take one step down the losses on a minibatch   (PPO eq. 9)."""
        s, advantage = self.settings, part.advantage
        if s.normalise == "minibatch":
            advantage = normalised(advantage, part.acting)
        log_pi = log_policy(self.net.logits(part.obs), part.avail_actions)
        log_ratio = of_actions(log_pi, part.actions) - part.log_probability
        log_ratio = log_ratio.masked_fill(~part.acting, 0.0)  # what nobody chose may be no number
        ratio, value = log_ratio.exp(), self.net.values(part.obs, part.state)
        policy_loss = mean_of(policy_terms(ratio, advantage, s.clip), part.acting)
        entropy = mean_of(entropy_of(log_pi), part.acting)
        error = value_terms(value, part.value, part.target, s.value_clip, s.value_loss == "huber")
        value_loss = mean_of(error, part.valued)
        of_actor = policy_loss - along(s.entropy, entropy) * entropy
        norm, clipped = self._descend(of_actor, along(s.value, value_loss) * value_loss, active)
        with torch.no_grad():
            kl = mean_of(ratio - 1 - log_ratio, part.acting)
            far = mean_of(((ratio - 1).abs() > along(s.clip, ratio)).float(), part.acting)
        measures = {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "gradient_norm": norm,
            "clipped_steps": clipped,
            "clipped_ratios": far,
            "kl": kl,
        }
        return {name: x.detach() for name, x in measures.items()}

    def _descend(
        self,
        of_actor: Float32[Tensor, "R"],
        of_critic: Float32[Tensor, "R"],
        active: Bool[Tensor, "R"],
    ) -> tuple[Float32[Tensor, "R"], Float32[Tensor, "R"]]:
        """Take a step; return the whole gradient's norm, and 1 where a norm was cut."""
        if self.critic_optimiser is None:
            norm = self.optimiser.step(of_actor + of_critic, active)
            return norm, (norm > along(self.settings.clip_norm, norm)).float()
        norms = self.optimiser.step(of_actor, active), self.critic_optimiser.step(of_critic, active)
        whole, most = (norms[0].square() + norms[1].square()).sqrt(), self.settings.clip_norm
        return whole, (torch.maximum(*norms) > along(most, whole)).float()

    def copy_set(self, block: str, run: int, source: int, target: int) -> None:
        """Make set `target` of a block what set `source` is, values and moments."""
        for network in self.net.parts(block):
            of_critic = network is self.net.critic and self.critic_optimiser
            (of_critic or self.optimiser).copy_set(network, run, source, target)

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return each agent's policy on its own observations, availability left aside."""
        return log_softmax(self.net.logits(obs.to(self.device))).exp()

    def sharing(self) -> Mapping[str, Assignment | Shares]:
        """Return who goes through which set, block by block: the critic's where it has its own."""
        blocks = {"front": self.net.front_of, "back": self.net.back_of}
        return blocks if self.net.critic_follows else blocks | {"critic": self.net.critic_of}

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; there is no replay."""
        return {
            "net": self.net.state_dict(),
            "optimisers": [x.state_dict() for x in self._optimisers()],
            "generators": [g.get_state() for g in self.streams.generators],
            "value_moments": self.value_norm.moments,
            "reward_moments": self.reward_norm.moments,
            "rewards_so_far": self.reward_norm.so_far,
            "updates": self.updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        load(self.net, state["net"])
        for optimiser, saved in zip(self._optimisers(), state["optimisers"], strict=True):
            optimiser.load(saved)
        self.streams.restore(state["generators"])
        self.value_norm.moments = state["value_moments"].to(self.device)
        self.reward_norm.moments = state["reward_moments"].to(self.device)
        self.reward_norm.so_far = state["rewards_so_far"].to(self.device)
        self.updates = state["updates"]


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> PPO:
    """Return PPO for this task, one run per seed."""
    return PPO(spec, settings, seeds, device)
