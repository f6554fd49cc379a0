"""Acting: the `Policy` protocol, and the two ways of collecting experience with it."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.rl import playing
from partage.sims.buffers import INSTANT_FIELDS
from partage.sims.contract import Env, Spec, TimeStep

# What a policy remembers within an episode: a tensor [R, B, ...], a tuple of them, or None.
# Policies of whole episodes may keep anything.
Memory = Any


class Choice(NamedTuple):
    """What a policy decided for all agents of all copies, and notes beside it (roles, ...)."""

    actions: Int64[Tensor, "R B N"]
    notes: dict[str, Tensor] = {}  # noqa: RUF012 (never mutated)


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
    final_state: Float32[Tensor, "R B T S"] | None = None  # likewise

    @property
    def steps(self) -> Int64[Tensor, "R"]:
        """Return the joint environment steps of each run."""
        return self.filled.sum((1, 2))

    @property
    def active(self) -> Bool[Tensor, "R"]:
        """Return which runs took part: one that has ended learns nothing and stays as it is."""
        return self.filled.any(2).any(1)


def _blank(env: Env, time: int) -> Rollout:
    """Return a rollout of `time` transitions that are yet to be filled in."""
    copies = env.runs, env.copies
    agents, actions = env.spec.n_agents, env.spec.n_actions
    instants = time + 1
    return Rollout(
        obs=torch.zeros(*copies, instants, agents, env.spec.obs_dim),
        state=torch.zeros(*copies, instants, env.spec.state_dim),
        avail_actions=torch.zeros(*copies, instants, agents, actions, dtype=torch.bool),
        alive=torch.zeros(*copies, instants, agents, dtype=torch.bool),
        actions=torch.zeros(*copies, time, agents, dtype=torch.int64),
        reward=torch.zeros(*copies, time, agents),
        terminated=torch.zeros(*copies, time, dtype=torch.bool),
        truncated=torch.zeros(*copies, time, dtype=torch.bool),
        filled=torch.zeros(*copies, time, dtype=torch.bool),
        score=torch.zeros(*copies, time),
        feature=torch.zeros(*copies, time),
        notes={},
    )


def _write_instant(out: Rollout, t: int, step: TimeStep) -> None:
    """Write what is seen at instant t."""
    for name in INSTANT_FIELDS:
        getattr(out, name)[:, :, t] = getattr(step, name)


def _write_transition(
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


def collect_episodes(env: Env, policy: Policy, where: Bool[Tensor, "R"], explore: bool) -> Rollout:
    """Play one whole episode in every copy of the runs marked; the other runs stay idle.

    Episodes are padded to the longest. One whose simulator broke down is void: another is played in
    its place.
    """
    out = _play(env, policy, where[:, None].expand(env.runs, env.copies).clone(), explore)
    while (void := (out.terminated & out.truncated).any(2)).any():
        out = _replace_episodes(out, void, _play(env, policy, void, explore))
    return out


def _play(env: Env, policy: Policy, live: Bool[Tensor, "R B"], explore: bool) -> Rollout:
    """Play one episode in every copy marked."""
    out, step = _blank(env, env.spec.horizon), env.reset(live)
    compiled = playing.in_place(env, policy, env.spec.horizon, explore)
    if compiled is not None:
        length = compiled.fill_episodes(out, live)
    else:
        length = _fill_episodes(out, env, policy, step, live, explore)
    out.terminated.logical_and_(out.filled)  # a copy keeps its flags while it idles
    out.truncated.logical_and_(out.filled)
    return _change_tensors(out, lambda name, x: x[:, :, : _instants(name, length)])


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
        _write_instant(out, t, step)
        choice, memory = policy(step, memory, explore)
        step = env.step(choice.actions)
        _write_transition(out, t, choice, step, live)
        length = t + 1
        live = live & ~step.ended
        if not live.any():
            break
    _write_instant(out, length, step)
    return length


def _instants(name: str, time: int) -> int:
    """Return how many instants a field has in so many transitions."""
    return time + 1 if name in INSTANT_FIELDS else time


def _tensors(episodes: Rollout) -> dict[str, Tensor]:
    """Return the tensors of whole episodes by name, notes left aside."""
    return {name: x for name, x in episodes._asdict().items() if isinstance(x, Tensor)}


def _change_tensors(episodes: Rollout, change: Callable[[str, Tensor], Tensor]) -> Rollout:
    """Return whole episodes with ``change(name, tensor)`` in place of each tensor and note."""
    tensors = {name: change(name, x) for name, x in _tensors(episodes).items()}
    notes = {name: change(name, note) for name, note in episodes.notes.items()}
    return episodes._replace(**tensors, notes=notes)


def _replace_episodes(old: Rollout, where: Bool[Tensor, "R B"], new: Rollout) -> Rollout:
    """Return `old` with the episodes of `new` in the copies marked, padded to the longer."""
    time = max(old.filled.shape[2], new.filled.shape[2])

    def pad(name: str, x: Tensor) -> Tensor:
        missing = _instants(name, time) - x.shape[2]
        return torch.cat((x, x.new_zeros(*x.shape[:2], missing, *x.shape[3:])), 2)

    new, old = _change_tensors(new, pad), _change_tensors(old, pad)
    replacements = _tensors(new) | new.notes
    return _change_tensors(old, lambda name, x: _choose(where, replacements[name], x))


def _choose(where: Bool[Tensor, "R B"], new: Tensor, old: Tensor) -> Tensor:
    """Return `new` in the copies marked and `old` elsewhere, ``[R, B, ...]``."""
    mask = where.to(old.device).view(*where.shape, *(1,) * (old.dim() - 2))
    return torch.where(mask, new, old)


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
    out, counts = _blank(env, time), torch.ones(env.runs, env.copies, dtype=torch.bool)
    if where is not None:
        counts &= where[:, None]
    compiled = playing.in_place(env, policy, time, True) if memory is None else None
    if compiled is not None:
        return compiled.fill_segment(out, counts), compiled.now, None
    for t in range(time):
        _write_instant(out, t, step)
        choice, memory = policy(step, memory, True)
        step = env.step(choice.actions)
        _write_transition(out, t, choice, step, ~step.void & counts)
        out.terminated[:, :, t] &= out.filled[:, :, t]
        if step.truncated.any():
            out = _write_end(out, t, step)
        if step.ended.any():
            ended = step.ended.clone()  # `step` may be a view of what `reset` writes to
            step = env.reset(ended)
            memory = _renew_memory(ended, policy.initial(env.copies, True), memory)
    _write_instant(out, time, step)
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
    return _choose(where, new, old)


def team_reward(reward: Float32[Tensor, "*X N"], spec: Spec) -> Float32[Tensor, "*X"]:
    """Return the team's reward: the common one, or the sum of the agents' own."""
    return reward[..., 0] if spec.common_reward else reward.sum(-1)
