"""Acting: the `Policy` protocol, and the two ways of collecting experience with it."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.sims.buffers import INSTANT_FIELDS
from partage.sims.contract import Env, Spec, TimeStep

Memory = (
    Any  # a tensor [R, B, ...], a tuple of them, or None: what a policy remembers within an episode
)


class Choice(NamedTuple):
    """What a policy decided for all agents of all copies, and notes to keep beside it (roles,
    groups, ...).
    """

    actions: Int64[Tensor, "R B N"]
    notes: dict[str, Tensor] = {}  # noqa: RUF012 (never mutated)


@runtime_checkable
class Policy(Protocol):
    """Acts for all agents. Its memory is passed in and out, so evaluating it cannot disturb
    training.

    A policy of whole episodes draws an episode's noise when the episode begins: how long other runs
    of the pack play must not move its generators.
    """

    def initial(self, copies: int, explore: bool) -> Memory: ...

    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]: ...


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

    @property
    def steps(self) -> Int64[Tensor, "R"]:
        """Joint environment steps of each run."""
        return self.filled.sum((1, 2))


def _blank(env: Env, time: int) -> Rollout:
    r, b, (n, a, o, s, *_) = env.runs, env.copies, env.spec
    mask = torch.zeros(r, b, time, dtype=torch.bool)
    return Rollout(
        obs=torch.zeros(r, b, time + 1, n, o),
        state=torch.zeros(r, b, time + 1, s),
        avail_actions=torch.zeros(r, b, time + 1, n, a, dtype=torch.bool),
        alive=torch.zeros(r, b, time + 1, n, dtype=torch.bool),
        actions=torch.zeros(r, b, time, n, dtype=torch.int64),
        reward=torch.zeros(r, b, time, n),
        terminated=mask,
        truncated=mask.clone(),
        filled=mask.clone(),
        score=torch.zeros(r, b, time),
        feature=torch.zeros(r, b, time),
        notes={},
    )


def _observe(out: Rollout, t: int, step: TimeStep) -> None:
    for field in INSTANT_FIELDS:
        getattr(out, field)[:, :, t] = getattr(step, field)


def _transition(out: Rollout, t: int, choice: Choice, step: TimeStep, live: Tensor) -> None:
    out.actions[:, :, t] = choice.actions
    for field in ("reward", "terminated", "truncated", "score", "feature"):
        getattr(out, field)[:, :, t] = getattr(step, field)
    out.filled[:, :, t] = live
    for name, note in choice.notes.items():
        if name not in out.notes:
            out.notes[name] = note.new_zeros(*note.shape[:2], out.filled.shape[2], *note.shape[2:])
        out.notes[name][:, :, t] = note


def collect_episodes(env: Env, policy: Policy, where: Bool[Tensor, "R"], explore: bool) -> Rollout:
    """One whole episode in every copy of the runs marked, padded to the longest; the other runs
    stay idle.

    An episode whose simulator broke down is void: another is played in its place.
    """
    out = _play(env, policy, where[:, None].expand(env.runs, env.copies).clone(), explore)
    while (void := (out.terminated & out.truncated).any(2)).any():
        out = _replaced(out, void, _play(env, policy, void, explore))
    return out


def _play(env: Env, policy: Policy, live: Bool[Tensor, "R B"], explore: bool) -> Rollout:
    """One episode in every copy marked."""
    horizon = env.spec.horizon
    out = _blank(env, horizon)
    step, memory, t = env.reset(live), policy.initial(env.copies, explore), 0
    for t in range(horizon):
        _observe(out, t, step)
        choice, memory = policy(step, memory, explore)
        step = env.step(choice.actions)
        _transition(out, t, choice, step, live)
        live = live & ~step.ended
        if not live.any():
            break
    _observe(out, t + 1, step)
    out.terminated.logical_and_(out.filled)  # a copy keeps its flags while it idles
    out.truncated.logical_and_(out.filled)
    return _tensors(out, lambda name, tensor: tensor[:, :, : t + 1 + (name in INSTANT_FIELDS)])


def _tensors(rollout: Rollout, change: Callable[..., Tensor], *others: Rollout) -> Rollout:
    """The rollout with ``change(name, tensor, the others' tensor, ...)`` in place of each tensor
    and note.
    """
    fields = rollout._asdict() | {"notes": None, "final_obs": None}
    notes = {
        key: change(key, note, *(o.notes[key] for o in others))
        for key, note in rollout.notes.items()
    }
    made = {
        key: change(key, x, *(getattr(o, key) for o in others))
        for key, x in fields.items()
        if x is not None
    }
    return rollout._replace(**made, notes=notes)


def _replaced(old: Rollout, where: Bool[Tensor, "R B"], new: Rollout) -> Rollout:
    """`old` with the episodes of `new` in the copies marked, padded to the longer."""
    time = max(old.filled.shape[2], new.filled.shape[2])

    def pick(name: str, before: Tensor, after: Tensor) -> Tensor:
        length = time + (name in INSTANT_FIELDS)
        one, other = (torch.cat((x, x.new_zeros(*x.shape[:2], length - x.shape[2], *x.shape[3:])), 2)
                      for x in (after, before))  # fmt: skip
        return torch.where(where.view(*where.shape, *(1,) * (one.dim() - 2)), one, other)

    return _tensors(old, pick, new)


def collect_segment(
    env: Env, policy: Policy, step: TimeStep, memory: Memory, time: int
) -> tuple[Rollout, TimeStep, Memory]:
    """`time` transitions of every copy from `step` on; where an episode ends, the next begins at
    once.

    An episode whose simulator broke down is truncated before the transition in which it did, which
    is not filled.
    """
    out = _blank(env, time)
    for t in range(time):
        _observe(out, t, step)
        choice, memory = policy(step, memory, True)
        step = env.step(choice.actions)
        _transition(out, t, choice, step, ~step.void)
        out.terminated[:, :, t] &= out.filled[:, :, t]
        ended = step.ended
        if ended.any():
            if step.truncated.any():
                if out.final_obs is None:
                    out = out._replace(final_obs=torch.zeros_like(out.obs[:, :, :-1]))
                out.final_obs[:, :, t] = step.obs * step.truncated[..., None, None]  # type: ignore[index]
            ended = ended.clone()
            step = env.reset(ended)
            memory = _where(ended, policy.initial(env.copies, True), memory)
    _observe(out, time, step)
    return out, step, memory


def _where(mask: Bool[Tensor, "R B"], new: Memory, old: Memory) -> Memory:
    if old is None:
        return None
    if isinstance(old, tuple):
        return tuple(_where(mask, n, o) for n, o in zip(new, old, strict=True))
    return torch.where(mask.to(old.device).view(*mask.shape, *(1,) * (old.dim() - 2)), new, old)


def team_reward(reward: Float32[Tensor, "*X N"], spec: Spec) -> Float32[Tensor, "*X"]:
    """The team's reward: the common one, or the sum of the agents' own."""
    return reward[..., 0] if spec.common_reward else reward.sum(-1)
