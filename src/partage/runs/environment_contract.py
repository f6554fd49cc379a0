"""The contract of an environment, for the tests of a study: what breaks it is an `AssertionError`.

Only what holds of every environment is checked, by legal moves that are drawn.
"""

import io
import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from partage import envs
from partage.config import plan
from partage.config.recipe import SCALES
from partage.config.tasks import run_values
from partage.runs.learner_contract import expect
from partage.sims.contract import Env, Spec, TimeStep

Make = Callable[[list[int], int], Env]  # from seeds and copies
BOOLS = ("avail_actions", "alive", "terminated", "truncated")


def check_environment(task: str, engine: str = "batched") -> None:
    """Raise `AssertionError`, which says what is broken, unless a task keeps the contract.

    Raises `UserError` for a task or engine that does not exist.
    """
    known = plan.load().tasks.get(task)
    options = run_values(known, SCALES[0])[1] if known else {}

    def make(seeds: list[int], copies: int) -> Env:
        return envs.make(task, seeds, copies, engine=engine, **options)

    has_the_sizes_of_its_spec(make)
    is_idle_before_and_after_an_episode(make)
    is_the_same_in_a_pack(make)
    goes_on_from_a_saved_state(make)


def legal_moves(env: Env, seed: int = 0) -> Iterator[Callable[[TimeStep], Tensor]]:
    """Yield choices of legal actions without end; a run's do not depend on how many there are."""
    generator = torch.Generator().manual_seed(seed)
    n, actions = env.spec.n_agents, env.spec.n_actions
    while True:
        liking = torch.rand((1, env.copies, n, actions), generator=generator)

        def choose(step: TimeStep, liking: Tensor = liking) -> Tensor:
            return (liking * step.avail_actions).argmax(-1)

        yield choose


def snapshot(step: TimeStep) -> TimeStep:
    """Return a copy: a step's tensors may be views of the simulator's memory."""
    return TimeStep(*(tensor.clone() for tensor in step))


def play(env: Env, steps: int, seed: int = 0, start: TimeStep | None = None) -> list[TimeStep]:
    """Return what is met in so many moves, the next episode begun wherever one has ended."""
    trail = [snapshot(env.reset()) if start is None else start]
    for choose in itertools.islice(legal_moves(env, seed), steps):
        if trail[-1].ended.any():
            trail.append(snapshot(env.reset(trail[-1].ended)))
        trail.append(snapshot(env.step(choose(trail[-1]))))
    return trail


def shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a step, behind runs and copies."""
    n = spec.n_agents
    sizes = {"obs": (n, spec.obs_dim), "state": (spec.state_dim,)}
    sizes |= {"avail_actions": (n, spec.n_actions), "alive": (n,), "reward": (n,)}
    return {name: sizes.get(name, ()) for name in TimeStep._fields}


def has_the_sizes_of_its_spec(make: Make) -> None:
    """Check shapes, kinds of numbers and the clock, and that some action is always legal."""
    env = make([0, 1, 2], 2)
    expect(isinstance(env, Env), "it lacks a method of partage.sims.contract.Env")
    for clock, step in enumerate(play(env, min(3, env.spec.horizon - 1))):
        for name, shape in shapes(env.spec).items():
            tensor = getattr(step, name)
            kind = torch.bool if name in BOOLS else torch.float32
            kind = torch.int64 if name == "clock" else kind
            came = f"{tuple(tensor.shape)} of {tensor.dtype}"
            expect(
                tensor.shape == (3, 2, *shape) and tensor.dtype == kind,
                f"{name} should be {(3, 2, *shape)} of {kind}, but is {came}",
            )
            expect(bool(tensor.isfinite().all()), f"{name} has what is no finite number")
        expect(bool((step.clock == clock).all()), "the clock counts other than steps")
        expect(bool(step.avail_actions.any(-1).all()), "an agent has no legal action")
        if step.ended.any():
            break
    env.close()


def is_idle_before_and_after_an_episode(make: Make) -> None:
    """Check that a copy waits for its reset, ends by the horizon, and stays as it ended."""
    env = make([0, 1], 2)
    first = torch.tensor([[True, False], [False, True]])
    now = snapshot(env.reset(first))
    for choose in itertools.islice(legal_moves(env), env.spec.horizon):
        if now.ended[first].all():
            break
        now = snapshot(env.step(choose(now)))
    expect(bool(now.ended[first].all()), "an episode goes on beyond the horizon")
    expect(not now.ended[~first].any(), "a copy that was not reset has played")
    frozen = snapshot(env.step(next(legal_moves(env))(now)))
    expect(not frozen.reward.any(), "a copy whose episode has ended is paid")
    for name in ("obs", "state", "terminated", "truncated", "score"):
        same = torch.equal(getattr(frozen, name), getattr(now, name))
        expect(same, f"{name} moves in copies that are idle")
    env.close()


def is_the_same_in_a_pack(make: Make) -> None:
    """Check that what a run meets does not depend on the runs beside it."""
    alone = make([3], 2)
    steps = alone.spec.horizon + 2
    trail, packed = play(alone, steps), make([9, 3, 4], 2)
    step = snapshot(packed.reset())
    moves = legal_moves(packed)
    for expected in trail:
        for name in TimeStep._fields:
            same = torch.equal(getattr(step, name)[1:2], getattr(expected, name))
            expect(same, f"{name} of a run differs when other seeds are played beside it")
        resets = bool(step.ended[1].any())
        step = snapshot(packed.reset(step.ended) if resets else packed.step(next(moves)(step)))


def goes_on_from_a_saved_state(make: Make) -> None:
    """Check that saving and going on elsewhere changes nothing."""
    env, other = make([1, 2], 2), make([5, 6], 2)
    play(env, env.spec.horizon // 2)
    other.reset()
    file = io.BytesIO()
    torch.save(env.state_dict(), file)
    file.seek(0)
    start = snapshot(other.load_state_dict(torch.load(file, weights_only=True)))
    steps = env.spec.horizon + 2
    trails = play(env, steps, 4, start), play(other, steps, 4, start)
    for left, right in zip(*trails, strict=True):
        for name in TimeStep._fields:
            same = torch.equal(getattr(left, name), getattr(right, name))
            expect(same, f"{name} is another after a saved state was loaded")
