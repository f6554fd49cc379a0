"""What learners of a joint action value have in common: replay, target networks, QMIX's losses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from partage.nn.mixer import Mixer
from partage.nn.networks import Sharing
from partage.nn.optimiser import Optimiser
from partage.nn.per_run import Each, first
from partage.nn.state import copy_runs, load, move
from partage.rl.card_replay import CardReplay
from partage.rl.exploration import Exploration
from partage.rl.graphs import Part, PartOf, from_host
from partage.rl.losses import masked_mse, td_target, total
from partage.rl.noise import Streams, generators
from partage.rl.on_card import draw_ahead, take_back
from partage.rl.replay import Replay
from partage.rl.rollout import Rollout, team_reward
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec, stream


@dataclass(frozen=True)
class Settings:
    """The settings of every learner on QMIX."""

    # id: one network with a one-hot id in its input; full: without; none: QMIX-NS
    sharing: Sharing = "id"  # PyMARL; EPyMARL for none
    copies: int = 1  # episodes collected an update   (PyMARL's episode runner)
    hidden: int = 64  # units of the agent network   (PyMARL)
    mixer: int = 32  # units of the mixer   (PyMARL)
    hyper: int = 64  # units of its hypernetworks   (PyMARL)
    lr: Each[float] = 5e-4  # RMSprop   (PyMARL)
    alpha: float = 0.99  # RMSprop's smoothing   (PyMARL)
    rms_eps: float = 1e-5  # added to RMSprop's root mean square   (PyMARL)
    gamma: Each[float] = 0.99  # discount   (PyMARL)
    clip: Each[float] = 10.0  # global gradient norm of a run   (PyMARL)
    batch: int = 32  # episodes an update   (PyMARL)
    buffer: int = 5000  # episodes in the replay   (PyMARL)
    target_every: int = 200  # episodes between copies to the target networks   (PyMARL)
    epsilon_start: Each[float] = 1.0  # share of random actions at the start   (BDPS App. G)
    epsilon_end: Each[float] = 0.05  # and at the end   (BDPS App. G)
    # environment steps from one to the other; tasks.toml has the papers' value for each task
    epsilon_anneal: Each[int] = 50_000  # PyMARL
    double_q: bool = True  # the online network chooses, the target network values   (PyMARL)


class MixedNetworks(nn.Module):
    """Networks of agents, and the mixer that joins their values: what a target network copies."""

    mixer: Mixer


NetworksT = TypeVar("NetworksT", bound=MixedNetworks)
SettingsT = TypeVar("SettingsT", bound=Settings)


class OffPolicyLearner(ABC, Generic[NetworksT, SettingsT]):
    """Learns a joint action value from a replay of whole episodes, one step an update.

    A learner built on it brings its networks, the policy that acts with them, and `update`.
    """

    policy: Any  # the learner's own; rl.rollout has the protocol
    segment = None  # whole episodes
    captured = (
        False  # on a card: whether an update asks it for nothing, so that a graph can be made
    )

    def __init__(
        self,
        spec: Spec,
        settings: SettingsT,
        seeds: Sequence[int],
        device: torch.device,
        nets: NetworksT,
    ) -> None:
        s = settings
        self.spec, self.settings, self.device, self.copies = spec, s, device, s.copies
        move(nets, device)
        self.nets: NetworksT = nets
        self.target: NetworksT = deepcopy(self.nets).requires_grad_(False)
        self.optimiser = Optimiser(self.nets, self._descent(), s.clip, s.lr)
        self.exploration = Exploration(seeds, s.epsilon_start, s.epsilon_end, s.epsilon_anneal)
        self.exploration.move(device)
        self.replay = Replay(len(seeds), s.buffer, spec)
        # of what is collected on a card
        self.card_replay = CardReplay(len(seeds), s.buffer, spec, device)
        self.source: Replay | CardReplay = self.replay
        self.active = torch.ones(len(seeds), dtype=torch.bool)  # runs of the update under way
        self.storing = PartOf(self._store, device, self.captured)
        self.updating = Part(self._update, device, self.captured)
        self.sampling = generators([stream(seed, "replay") for seed in seeds])
        self.generators = [*self.exploration.generators, *self.sampling]
        self.streams = Streams(self.generators)
        self.episodes = 0  # collected by each run that still collects
        # of learners whose policies note who goes through what: the most frequent set of each agent
        self.blocks: dict[str, Assignment] = {}

    def _descent(self) -> Callable[[list[Tensor]], torch.optim.Optimizer]:
        """Return what makes torch's optimiser of the networks   (PyMARL: RMSprop)."""
        s = self.settings
        return partial(torch.optim.RMSprop, lr=first(s.lr), alpha=s.alpha, eps=s.rms_eps)

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Store the episodes, take a gradient step, and copy to the target networks when due."""
        active, on_card = rollout.active, rollout.filled.device.type != "cpu"
        self.active = self.card_replay.active = active
        self.source = self.card_replay if on_card else self.replay
        measures = (self.storing if on_card else self._store)(rollout)
        episodes_before = self.episodes
        self.episodes += self.copies
        # counted in episodes collected: a run that stopped early may have fewer
        if min(self.episodes, self.settings.buffer) >= self.settings.batch:
            measures = measures | (self.updating if on_card else self._update)()
        target_every = self.settings.target_every
        if self.episodes // target_every > episodes_before // target_every:
            self.update_targets(active)
            self.blocks = self._blocks_of(rollout)
        self.streams.settle(active)
        draw_ahead(self.policy)
        return measures

    def _store(self, rollout: Rollout) -> dict[str, Tensor]:
        """Count a rollout's steps, and store its episodes."""
        self.exploration.steps += rollout.steps.to(self.device)
        self.source.add(rollout, {"team_reward": self.team_reward(rollout)})
        return {"epsilon": self.exploration.epsilon()}

    def _update(self) -> dict[str, Tensor]:
        """Draw a batch and take a step on it."""
        batch = self.source.sample(self.settings.batch, self.sampling)
        batch = {name: x.to(self.device) for name, x in batch.items()}
        return self.update(batch, from_host(lambda: self.active).to(self.device))

    def team_reward(self, rollout: Rollout) -> Float32[Tensor, "R B T"]:
        """Return the reward of each transition that is learned from."""
        return team_reward(rollout.reward, self.spec)

    def update_targets(self, active: Bool[Tensor, "R"]) -> None:
        """Copy the networks of active runs to the target networks."""
        copy_runs(self.nets, self.target, active)

    def _blocks_of(self, rollout: Rollout) -> dict[str, Assignment]:
        """Return what each agent went through most often, as before in runs that have ended."""
        blocks, active = {}, rollout.active[:, None]
        for name, before in self.blocks.items():
            now = most_frequent(rollout.notes[name], rollout.filled).cpu()
            blocks[name] = torch.where(active, now, before)
        return blocks

    def sharing(self) -> Mapping[str, Assignment | Shares]:
        """Return what each agent went through most often, block by block.

        Counted in the episodes before the target networks were last copied to.
        """
        return self.blocks

    @abstractmethod
    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take one gradient step of each active run on its own episodes; return measures.

        The others have ended: nothing of theirs may change (`Optimiser.step` takes `active`).
        """

    def td_loss(
        self,
        q: Float32[Tensor, "R B T1 N A"],
        q_target: Float32[Tensor, "R B T1 N A"],
        batch: dict[str, Tensor],
    ) -> tuple[Float32[Tensor, "R"], dict[str, Tensor]]:
        """Return QMIX's loss (BDPS eq. 9) over real transitions, and its measures.

        `q` and `q_target` are the agents' values by the networks and by the target networks.
        """
        actions, state, mask = batch["actions"], batch["state"], batch["filled"]
        chosen = q[:, :, :-1].gather(-1, actions[..., None]).squeeze(-1)
        with torch.no_grad():
            next_values = q_target[:, :, 1:]
            choosing = q[:, :, 1:] if self.settings.double_q else next_values
            choosing = choosing.masked_fill(~batch["avail_actions"][:, :, 1:], -torch.inf)
            best = choosing.argmax(-1, keepdim=True)
            next_q = next_values.gather(-1, best).squeeze(-1)
            next_total = self.target.mixer(next_q, state[:, :, 1:], mask)
            target = td_target(
                batch["team_reward"], next_total, batch["terminated"], self.settings.gamma
            )
        loss = masked_mse(self.nets.mixer(chosen, state[:, :, :-1], mask), target, mask)
        return loss, {"td_loss": loss.detach(), "q_target": masked_mean(target, mask)}

    def _attributes(self, kind: type) -> dict[str, Any]:
        """Return this learner's attributes of one kind, by name."""
        return {name: x for name, x in vars(self).items() if isinstance(x, kind)}

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; experience only with `replay`."""
        take_back(self.policy)
        state = {name: module.state_dict() for name, module in self._attributes(nn.Module).items()}
        for name, optimiser in self._attributes(Optimiser).items():
            state[name] = optimiser.state_dict()
        state |= {
            "generators": [g.get_state() for g in self.generators],
            "steps": self.exploration.steps,
            "since": self.exploration.since,
            "blocks": self.blocks,
            "episodes": self.episodes,
        }
        if replay:
            state["replay"] = self.source.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; the replay stays as it is where it holds none."""
        for name, module in self._attributes(nn.Module).items():
            load(module, state[name])
        for name, optimiser in self._attributes(Optimiser).items():
            optimiser.load(state[name])
        take_back(self.policy)
        self.streams.restore(state["generators"])
        self.exploration.steps.copy_(state["steps"])
        self.exploration.since.copy_(state["since"])
        self.blocks = state["blocks"]
        self.episodes = state["episodes"]
        if "replay" in state:
            of_card = "stored" in state["replay"]
            self.source = self.card_replay if of_card else self.replay
            self.source.load_state_dict(state["replay"])


def previous_actions(actions: Int64[Tensor, "R B T N"]) -> Int64[Tensor, "R B T1 N"]:
    """Return the last action at every instant (-1: none yet)."""
    return torch.cat((torch.full_like(actions[:, :, :1], -1), actions), 2)


def most_frequent(index: Int64[Tensor, "R B T N"], filled: Bool[Tensor, "R B T"]) -> Assignment:
    """Return the set that each agent had most often in real transitions."""
    return (functional.one_hot(index) * filled[..., None, None]).sum((1, 2)).argmax(-1)


def masked_mean(x: Float32[Tensor, "R B T"], mask: Bool[Tensor, "R B T"]) -> Float32[Tensor, "R"]:
    """Return each run's mean over its real transitions."""
    return total(x * mask) / mask.sum((1, 2)).clamp(min=1)
