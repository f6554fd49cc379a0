"""Acting: the `Policy` protocol, and the two ways of collecting experience with it."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from partage.rl import on_card, playing
from partage.rl.experience import (
    Choice,
    Rollout,
    blank,
    change_tensors,
    choose,
    device_of,
    instants_of,
    team_reward,
    tensors_of,
    write_instant,
    write_transition,
)
from partage.sims.contract import Env, TimeStep

__all__ = [
    "Choice",
    "Memory",
    "Policy",
    "Rollout",
    "collect_episodes",
    "collect_segment",
    "team_reward",
]

# What a policy remembers within an episode: a tensor [R, B, ...], a tuple of them, or None.
# Policies of whole episodes may keep anything.
Memory = Any


@runtime_checkable
class Policy(Protocol):
    """Acts for all agents.

    Its memory is passed in and out, so evaluating it cannot disturb training. A policy of whole
    episodes draws an episode's noise when the episode begins: how long other runs of the pack play
    must not move its generators.
    """

    def initial(self, copies: int, explore: bool) -> Memory:
        """Return the memory that episodes of so many copies begin with."""
        ...

    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        """Return what to do at this instant, and what to remember until the next."""
        ...


def collect_episodes(env: Env, policy: Policy, where: Bool[Tensor, "R"], explore: bool) -> Rollout:
    """Play one whole episode in every copy of the runs marked; the other runs stay idle.

    Episodes are padded to the longest. One whose simulator broke down is void: another is played in
    its place.
    """
    if device_of(env).type != "cpu":
        return on_card.episodes(env, policy, explore).collect(where)
    out = _play(env, policy, where[:, None].expand(env.runs, env.copies).clone(), explore)
    while (void := (out.terminated & out.truncated).any(2)).any():
        out = _replace_episodes(out, void, _play(env, policy, void, explore))
    return out


def _play(env: Env, policy: Policy, live: Bool[Tensor, "R B"], explore: bool) -> Rollout:
    """Play one episode in every copy marked."""
    out, step = blank(env, env.spec.horizon), env.reset(live)
    compiled = playing.in_place(env, policy, env.spec.horizon, explore)
    if compiled is not None:
        length = compiled.fill_episodes(out, live)
    else:
        length = _fill_episodes(out, env, policy, step, live, explore)
    out.terminated.logical_and_(out.filled)  # a copy keeps its flags while it idles
    out.truncated.logical_and_(out.filled)
    return change_tensors(out, lambda name, x: x[:, :, : instants_of(name, length)])


def _fill_episodes(
    out: Rollout,
    env: Env,
    policy: Policy,
    step: TimeStep,
    live: Bool[Tensor, "R B"],
    explore: bool,
) -> int:
    """Play an episode in every copy marked, step by step; return the longest's steps."""
    memory, length = policy.initial(env.copies, explore), 0
    for t in range(env.spec.horizon):
        write_instant(out, t, step)
        choice, memory = policy(step, memory, explore)
        step = env.step(choice.actions)
        write_transition(out, t, choice, step, live)
        length = t + 1
        live = live & ~step.ended
        if not live.any():
            break
    write_instant(out, length, step)
    return length


def _replace_episodes(old: Rollout, where: Bool[Tensor, "R B"], new: Rollout) -> Rollout:
    """Return `old` with the episodes of `new` in the copies marked, padded to the longer."""
    time = max(old.filled.shape[2], new.filled.shape[2])

    def pad(name: str, x: Tensor) -> Tensor:
        missing = instants_of(name, time) - x.shape[2]
        return torch.cat((x, x.new_zeros(*x.shape[:2], missing, *x.shape[3:])), 2)

    new, old = change_tensors(new, pad), change_tensors(old, pad)
    replacements = tensors_of(new) | new.notes
    return change_tensors(old, lambda name, x: choose(where, replacements[name], x))


def collect_segment(
    env: Env,
    policy: Policy,
    step: TimeStep,
    memory: Memory,
    time: int,
    where: Bool[Tensor, "R"] | None = None,
) -> tuple[Rollout, TimeStep, Memory]:
    """Play `time` transitions of every copy from `step` on; return where they end as well.

    Where an episode ends, the next begins at once. An episode whose simulator broke down is
    truncated before the transition in which it did, which is not filled. Nothing is filled of runs
    that `where` does not mark (None: all are).
    """
    if device_of(env).type != "cpu":
        return on_card.segments(env, policy, time).collect(where), step, None
    out, counts = blank(env, time), torch.ones(env.runs, env.copies, dtype=torch.bool)
    if where is not None:
        counts &= where[:, None]
    compiled = playing.in_place(env, policy, time, True) if memory is None else None
    if compiled is not None:
        return compiled.fill_segment(out, counts), compiled.now, None
    for t in range(time):
        write_instant(out, t, step)
        choice, memory = policy(step, memory, True)
        step = env.step(choice.actions)
        write_transition(out, t, choice, step, ~step.void & counts)
        out.terminated[:, :, t] &= out.filled[:, :, t]
        if step.truncated.any():
            out = _write_end(out, t, step)
        if step.ended.any():
            ended = step.ended.clone()  # `step` may be a view of what `reset` writes to
            step = env.reset(ended)
            memory = _renew_memory(ended, policy.initial(env.copies, True), memory)
    write_instant(out, time, step)
    return out, step, memory


def _write_end(out: Rollout, t: int, step: TimeStep) -> Rollout:
    """Write the observations and states that truncated episodes ended on."""
    full: Any = playing.with_room_for_ends(out) if out.final_obs is None else out
    full.final_obs[:, :, t] = step.obs * step.truncated[..., None, None]
    full.final_state[:, :, t] = step.state * step.truncated[..., None]
    return full


def _renew_memory(where: Bool[Tensor, "R B"], new: Memory, old: Memory) -> Memory:
    """Return the new memory in the copies marked and the old one elsewhere."""
    if old is None:
        return None
    if isinstance(old, tuple):
        return tuple(_renew_memory(where, n, o) for n, o in zip(new, old, strict=True))
    return choose(where, new, old)
