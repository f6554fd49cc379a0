"""What acting gives: a `Choice` of an instant, a `Rollout` of a stretch of time."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.sims.buffers import INSTANT_FIELDS
from partage.sims.contract import Env, Spec, TimeStep

# what is counted of a rollout
COUNTED = ("reward", "terminated", "truncated", "filled", "score", "feature")


class Choice(NamedTuple):
    """What a policy decided for all agents of all copies, and notes beside it (roles, ...)."""

    actions: Int64[Tensor, "R B N"]
    notes: dict[str, Tensor] = {}  # noqa: RUF012 (never mutated)


class Rollout(NamedTuple):
    """T transitions of each copy: ``obs[:, :, t]`` is what ``actions[:, :, t]`` were chosen on.

    `obs`, `state`, `avail_actions` and `alive` have T + 1 instants; the last is where acting
    stopped. Transitions that are not `filled` are padding.
    """

    obs: Float32[Tensor, "R B T1 N O"]
    state: Float32[Tensor, "R B T1 S"]
    avail_actions: Bool[Tensor, "R B T1 N A"]
    alive: Bool[Tensor, "R B T1 N"]
    actions: Int64[Tensor, "R B T N"]
    reward: Float32[Tensor, "R B T N"]
    terminated: Bool[Tensor, "R B T"]
    truncated: Bool[Tensor, "R B T"]
    filled: Bool[Tensor, "R B T"]
    score: Float32[Tensor, "R B T"]
    feature: Float32[Tensor, "R B T"]
    notes: dict[str, Tensor]
    # In a segment the next episode starts within it: here the observations the old one ended on,
    # where it was truncated (None: nowhere). In whole episodes they are in `obs` itself.
    final_obs: Float32[Tensor, "R B T N O"] | None = None
    final_state: Float32[Tensor, "R B T S"] | None = None  # likewise, where the CPU plays
    # which runs took part, on the CPU: what was collected on a card need not be asked
    took_part: Bool[Tensor, "R"] | None = None

    @property
    def steps(self) -> Int64[Tensor, "R"]:
        """Return the joint environment steps of each run."""
        return self.filled.sum((1, 2))

    @property
    def active(self) -> Bool[Tensor, "R"]:
        """Return which runs took part: one that has ended learns nothing and stays as it is."""
        return self.filled.any(2).any(1) if self.took_part is None else self.took_part

    def counted(self) -> "Rollout":
        """Return it with what is counted on the CPU: all but what was observed and done."""
        return self._replace(**{name: getattr(self, name).cpu() for name in COUNTED})


def device_of(env: Env) -> torch.device:
    """Return where an environment's tensors are."""
    now: TimeStep | None = getattr(env, "now", None)
    return torch.device("cpu") if now is None else now.obs.device


def blank(env: Env, time: int) -> Rollout:
    """Return a rollout of `time` transitions that are yet to be filled in."""
    copies = env.runs, env.copies
    agents, actions = env.spec.n_agents, env.spec.n_actions
    instants, on = time + 1, device_of(env)
    return Rollout(
        obs=torch.zeros(*copies, instants, agents, env.spec.obs_dim, device=on),
        state=torch.zeros(*copies, instants, env.spec.state_dim, device=on),
        avail_actions=torch.zeros(*copies, instants, agents, actions, dtype=torch.bool, device=on),
        alive=torch.zeros(*copies, instants, agents, dtype=torch.bool, device=on),
        actions=torch.zeros(*copies, time, agents, dtype=torch.int64, device=on),
        reward=torch.zeros(*copies, time, agents, device=on),
        terminated=torch.zeros(*copies, time, dtype=torch.bool, device=on),
        truncated=torch.zeros(*copies, time, dtype=torch.bool, device=on),
        filled=torch.zeros(*copies, time, dtype=torch.bool, device=on),
        score=torch.zeros(*copies, time, device=on),
        feature=torch.zeros(*copies, time, device=on),
        notes={},
    )


def write_instant(out: Rollout, t: int, step: TimeStep) -> None:
    """Write what is seen at instant t."""
    for name in INSTANT_FIELDS:
        getattr(out, name)[:, :, t] = getattr(step, name)


def write_transition(
    out: Rollout, t: int, choice: Choice, step: TimeStep, filled: Bool[Tensor, "R B"]
) -> None:
    """Write what was chosen at instant t, and what came of it."""
    out.actions[:, :, t] = choice.actions
    for name in ("reward", "terminated", "truncated", "score", "feature"):
        getattr(out, name)[:, :, t] = getattr(step, name)
    out.filled[:, :, t] = filled
    for name, note in choice.notes.items():
        if name not in out.notes:
            time = out.filled.shape[2]
            out.notes[name] = note.new_zeros(*note.shape[:2], time, *note.shape[2:])
        out.notes[name][:, :, t] = note


def instants_of(name: str, time: int) -> int:
    """Return how many instants a field has in so many transitions."""
    return time + 1 if name in INSTANT_FIELDS else time


def tensors_of(episodes: Rollout) -> dict[str, Tensor]:
    """Return the tensors of whole episodes by name, notes left aside."""
    return {name: x for name, x in episodes._asdict().items() if isinstance(x, Tensor)}


def change_tensors(episodes: Rollout, change: Callable[[str, Tensor], Tensor]) -> Rollout:
    """Return whole episodes with ``change(name, tensor)`` in place of each tensor and note."""
    tensors = {name: change(name, x) for name, x in tensors_of(episodes).items()}
    notes = {name: change(name, note) for name, note in episodes.notes.items()}
    return episodes._replace(**tensors, notes=notes)


def on_host(episodes: Rollout) -> Rollout:
    """Return them on the CPU: what lies on a card holds until more is collected."""
    return change_tensors(episodes, lambda _, x: x.cpu())


def choose(where: Bool[Tensor, "R B"], new: Tensor, old: Tensor) -> Tensor:
    """Return `new` in the copies marked and `old` elsewhere, ``[R, B, ...]``."""
    mask = where.to(old.device).view(*where.shape, *(1,) * (old.dim() - 2))
    return torch.where(mask, new, old)


def team_reward(reward: Float32[Tensor, "*X N"], spec: Spec) -> Float32[Tensor, "*X"]:
    """Return the team's reward: the common one, or the sum of the agents' own."""
    return reward[..., 0] if spec.common_reward else reward.sum(-1)
