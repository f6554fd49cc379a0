"""What learners of a joint action value share: replay, target networks, QMIX's losses, and what a
resumed run needs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float32, Int64, Shaped
from torch import Tensor, device, nn
from torch.nn import functional

from partage.nn.optimiser import Optimiser
from partage.rl.exploration import Exploration
from partage.rl.losses import masked_mse, td_target, total
from partage.rl.noise import generators, restore
from partage.rl.replay import Replay
from partage.rl.rollout import Rollout, team_reward
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream

if TYPE_CHECKING:
    from partage.learners.qmix import Settings

Value = Callable[[Tensor], Tensor]  # [R, B, P, N, H] -> [R, B, P, N, G]


class OffPolicyLearner(ABC):
    """What learners of a joint action value share: a replay of whole episodes, target networks, one
    step an episode.

    A learner built on it brings its networks (with a `mixer`), the policy that acts with them, and
    `update`.
    """

    segment = None  # whole episodes

    def __init__(
        self, spec: Spec, settings: "Settings", seeds: Sequence[int], where: device, nets: nn.Module
    ) -> None:
        self.spec, self.settings, self.where, self.copies = spec, settings, where, settings.copies
        self.nets: Any = nets.to(where)
        self.target: Any = deepcopy(self.nets).requires_grad_(False)
        rmsprop = partial(
            torch.optim.RMSprop, lr=settings.lr, alpha=settings.alpha, eps=settings.rms_eps
        )
        self.optimiser = Optimiser(self.nets, rmsprop, settings.clip)
        s = settings
        self.exploration = Exploration(seeds, s.epsilon_start, s.epsilon_end, s.epsilon_anneal)
        self.replay = Replay(len(seeds), settings.buffer)
        self.sampling = generators([stream(seed, "replay") for seed in seeds])
        self.generators = [*self.exploration.generators, *self.sampling]
        self.episodes = 0  # collected by each run that still collects
        self.blocks: dict[
            str, Assignment
        ] = {}  # of learners whose policies note who goes through what

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        active = rollout.filled.any(2).any(1)
        self.latest = rollout
        self.exploration.steps += rollout.steps
        self.replay.add(rollout, {"team_reward": team_reward(rollout.reward, self.spec)})
        before, self.episodes = self.episodes, self.episodes + self.copies
        measures = {"epsilon": self.exploration.epsilon()}
        if (
            min(self.episodes, self.settings.buffer) >= self.settings.batch
        ):  # a run that stopped early may have fewer
            batch = self.replay.sample(self.settings.batch, self.sampling)
            measures |= self.update(
                {name: x.to(self.where) for name, x in batch.items()}, active.to(self.where)
            )
        if self.episodes // self.settings.target_every > before // self.settings.target_every:
            self.renew()
        return measures

    def renew(self) -> None:
        """Copy the networks to the target networks."""
        self.target.load_state_dict(self.nets.state_dict())
        self.blocks = {
            name: usual(self.latest.notes[name], self.latest.filled) for name in self.blocks
        }

    def sharing(self) -> dict[str, Assignment]:
        """What each agent went through most often in the episodes before the target networks were
        last renewed.
        """
        return self.blocks

    @abstractmethod
    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """One gradient step of each active run on its own episodes."""

    def td_loss(
        self,
        q: Float32[Tensor, "R B T1 N A"],
        q_target: Float32[Tensor, "R B T1 N A"],
        batch: dict[str, Tensor],
    ) -> tuple[Float32[Tensor, "R"], dict[str, Tensor]]:
        """QMIX's loss (BDPS eq. 9), given the agents' values by networks and target networks; and
        its measures.
        """
        actions, state, mask = batch["actions"], batch["state"], batch["filled"]
        chosen = q[:, :, :-1].gather(-1, actions[..., None]).squeeze(-1)
        with torch.no_grad():
            later = q_target[:, :, 1:]
            best = (q[:, :, 1:] if self.settings.double_q else later).masked_fill(
                ~batch["avail_actions"][:, :, 1:], -torch.inf
            )
            next_q = later.gather(-1, best.argmax(-1, keepdim=True)).squeeze(-1)
            next_total = self.target.mixer(next_q, state[:, :, 1:])
            target = td_target(
                batch["team_reward"], next_total, batch["terminated"], self.settings.gamma
            )
        loss = masked_mse(
            self.nets.mixer(chosen, state[:, :, :-1]), target, mask
        )  # over real transitions
        return loss, {
            "td_loss": loss.detach(),
            "q_target": total(target * mask) / mask.sum((1, 2)).clamp(min=1),
        }

    def period_loss(
        self,
        value: tuple[Value, Value],
        states: tuple[Float32[Tensor, "R B T1 N H"], Float32[Tensor, "R B T1 N H"]],
        chosen: Int64[Tensor, "R B T N"],
        mixers: tuple[nn.Module, nn.Module],
        every: int,
        batch: dict[str, Tensor],
    ) -> Float32[Tensor, "R"]:
        """The loss of a choice that holds for `every` steps, itself a QMIX task   (RODE; BDPS eq.
        8).

        A period's rewards are added up, and what follows it is discounted once. The last one may be
        shorter. Pairs are of the networks and the target networks; `value` makes the options'
        values of states.
        """
        state, length = batch["state"], batch["filled"].sum(2, keepdim=True)
        first = torch.arange(0, batch["filled"].shape[2], every, device=self.where).expand(
            *length.shape[:2], -1
        )
        after = (first + every).minimum(length)
        both = torch.stack((batch["team_reward"], batch["terminated"].float()))
        both = functional.pad(both * batch["filled"], (0, -both.shape[-1] % every))
        reward, ended = both.unflatten(-1, (-1, every)).sum(-1)
        with torch.no_grad():
            later = value[1](at(states[1], after))
            best = (value[0](at(states[0], after)) if self.settings.double_q else later).argmax(
                -1, keepdim=True
            )
            next_total = mixers[1](later.gather(-1, best).squeeze(-1), at(state, after))
            target = td_target(reward, next_total, ended > 0, self.settings.gamma)
        mine = value[0](at(states[0], first)).gather(-1, at(chosen, first)[..., None]).squeeze(-1)
        return masked_mse(mixers[0](mine, at(state, first)), target, first < length)

    def _held(self, kind: type) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if isinstance(x, kind)}

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        modules = {name: module.state_dict() for name, module in self._held(nn.Module).items()}
        optimisers = {name: one.torch.state_dict() for name, one in self._held(Optimiser).items()}
        return {
            **modules,
            **optimisers,
            "generators": [g.get_state() for g in self.generators],
            "steps": self.exploration.steps,
            "since": self.exploration.since,
            "blocks": self.blocks,
            "episodes": self.episodes,
            **({"replay": self.replay.state_dict()} if replay else {}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, module in self._held(nn.Module).items():
            module.load_state_dict(state[name])
        for name, one in self._held(Optimiser).items():
            one.torch.load_state_dict(state[name])
        restore(self.generators, state["generators"])
        self.exploration.steps.copy_(state["steps"])
        self.exploration.since.copy_(state["since"])
        self.blocks = state["blocks"]
        self.episodes = state["episodes"]
        if "replay" in state:  # policies are kept without
            self.replay.load_state_dict(state["replay"])


def before(actions: Int64[Tensor, "R B T N"]) -> Int64[Tensor, "R B T1 N"]:
    """The last action at every instant (-1: none yet)."""
    return torch.cat((torch.full_like(actions[:, :, :1], -1), actions), 2)


def at(x: Shaped[Tensor, "R B T *X"], when: Int64[Tensor, "R B P"]) -> Shaped[Tensor, "R B P *X"]:
    """Each copy's `x` at instants of its own."""
    index = when.reshape(*when.shape, *[1] * (x.dim() - 3)).expand(*when.shape, *x.shape[3:])
    return x.gather(2, index)


def held(
    index: Int64[Tensor, "R B T N"], length: Int64[Tensor, "R B"], period: int
) -> Int64[Tensor, "R B T1 N"]:
    """What was chosen every `period` steps, at every instant: after an episode's last choice that
    one stays.
    """
    last = (length - 1).clamp(min=0) // period
    now = torch.arange(index.shape[2] + 1, device=index.device) // period
    return at(index, now.minimum(last[..., None]) * period)


def usual(index: Int64[Tensor, "R B T N"], filled: Bool[Tensor, "R B T"]) -> Assignment:
    """What each agent had most often."""
    return (functional.one_hot(index) * filled[..., None, None]).sum((1, 2)).argmax(-1)
