"""The worker pool, with a simulator that crashes, hangs and exits when it is told to."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import CRASH, END, EXIT, HANG, MEET, RAISE, STAY, Forgetful, Toy

from partage.errors import UserError
from partage.rl.rollout import Choice, collect_episodes, collect_segment
from partage.sims.batch import Batched
from partage.sims.contract import Spec, TimeStep
from partage.sims.workers.pool import Pool

SPEC = Spec(n_agents=2, n_actions=7, obs_dim=5, state_dim=5, horizon=6, common_reward=True)
FAILURES = pytest.mark.parametrize(
    "failure", [RAISE, HANG, EXIT, CRASH], ids=["raise", "hang", "exit", "crash"]
)


@pytest.fixture
def made() -> Iterator[Callable[..., Batched]]:
    """Makes environments of toys, and closes them."""
    envs = []

    def make(copies: int, build: Any = Toy, runs: int = 1, **options: Any) -> Batched:
        pool = partial(Pool, build, SPEC, **{"step_within": 3.0} | options)
        envs.append(Batched(SPEC, pool, list(range(runs)), copies, "truncation"))
        return envs[-1]

    yield make
    for env in envs:
        env.close()


def move(env: Batched, *firsts: int) -> TimeStep:
    """One step, with these actions of the copies' first agents."""
    return env.step(torch.tensor([[[first, STAY] for first in firsts]]))


def seeds_seen(step: TimeStep) -> list[tuple[float, ...]]:
    return [tuple(row) for row in step.obs[0, :, 0, :3].tolist()]


class Scripted:
    """A policy that plays these first actions, one list per attempt, and notes when it decided."""

    def __init__(self, *attempts: list[list[int]]) -> None:
        self.attempts = list(attempts)

    def initial(self, copies: int, explore: bool) -> Any:
        return [*self.attempts.pop(0)]

    def __call__(self, step: TimeStep, memory: Any, explore: bool) -> tuple[Choice, Any]:
        actions = torch.tensor([[[first, STAY] for first in memory[0]]])
        return Choice(actions, {"first": actions[..., 0].clone()}), memory[1:]


class Played:
    """A policy that plays these first actions without end of episodes."""

    def __init__(self, script: list[list[int]]) -> None:
        self.script = script

    def initial(self, copies: int, explore: bool) -> Any:
        return None

    def __call__(self, step: TimeStep, memory: Any, explore: bool) -> tuple[Choice, Any]:
        return Choice(torch.tensor([[[first, STAY] for first in self.script.pop(0)]])), None


@pytest.mark.parametrize("workers", [1, 2, 3, None])
def test_copies_are_the_same_in_any_number_of_workers(
    made: Callable[..., Batched], workers: int | None
) -> None:
    few, many = made(3, workers=workers), made(3, workers=3)
    for env in (few, many):
        env.reset()
        move(env, STAY, END, STAY)
    one, other = (
        few.reset(torch.tensor([[False, True, False]])),
        many.reset(torch.tensor([[False, True, False]])),
    )
    assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))
    assert one.obs[0, :, 0, 3].tolist() == [1, 0, 1] and one.obs[0, :, 0, 4].tolist() == [0, 1, 2]


@FAILURES
def test_an_episode_whose_simulator_fails_is_void_and_the_others_go_on(
    made: Callable[..., Batched], failure: int
) -> None:
    env = made(2, workers=2)
    env.reset()
    move(env, STAY, STAY)
    step = move(env, failure, STAY)
    assert step.void.tolist() == [[True, False]] and step.reward[0, :, 0].tolist() == [0, 1]
    assert step.obs[0, :, 0, 3].tolist() == [1, 2]  # the broken copy shows what it last saw
    step = env.reset(step.ended)
    assert step.obs[0, :, 0, 3].tolist() == [0, 2] and not step.ended.any()
    assert move(env, STAY, STAY).obs[0, :, 0, 3].tolist() == [1, 3]


def test_a_worker_that_fails_takes_the_episodes_of_all_its_copies_with_it(
    made: Callable[..., Batched],
) -> None:
    env = made(3, workers=2)  # copy 0; copies 1 and 2
    env.reset()
    assert move(env, STAY, EXIT, STAY).void.tolist() == [[False, True, True]]


def test_every_episode_has_a_seed_of_its_own_that_failures_do_not_reuse(
    made: Callable[..., Batched],
) -> None:
    env, calm = made(1), made(1)
    seen = seeds_seen(env.reset())
    move(env, CRASH)
    seen += [seeds_seen(env.reset())[0] for _ in range(3)]
    assert len(set(seen)) == 4
    assert [seeds_seen(calm.reset())[0] for _ in range(4)] == seen


@FAILURES
def test_whole_episodes_that_failed_are_played_again(
    made: Callable[..., Batched], failure: int
) -> None:
    env = made(2, workers=2)
    first = [[STAY, STAY], [failure, STAY], [STAY, END]]
    played = collect_episodes(
        env, Scripted(first, [[STAY, STAY]] * 4 + [[END, STAY]]), torch.tensor([True]), True
    )
    assert played.filled.sum(2).tolist() == [[5, 3]] and played.filled.shape[2] == 5
    assert played.obs.shape[2] == 6 and played.obs[0, 0, :, 0, 3].tolist() == [0, 1, 2, 3, 4, 5]
    assert played.reward[0, :, :, 0].sum(1).tolist() == [5, 3]
    assert played.notes["first"][0, 0].tolist() == [STAY] * 4 + [END]
    assert played.notes["first"][0, 1].tolist() == [STAY, STAY, END, STAY, STAY]
    assert not (played.terminated & played.truncated).any() and played.terminated.sum() == 2


def test_a_segment_is_truncated_where_a_simulator_failed(made: Callable[..., Batched]) -> None:
    env = made(2, workers=2)
    step = env.reset()
    policy = Played([[STAY, STAY], [CRASH, STAY], [STAY, STAY]])
    played, _, _ = collect_segment(env, policy, step, None, 3)
    assert played.filled.tolist() == [[[True, False, True], [True, True, True]]]
    assert played.truncated.tolist() == [[[False, True, False], [False, False, False]]]
    assert not played.terminated.any() and played.reward[0, 0, :, 0].tolist() == [1, 0, 1]
    assert played.final_obs is not None and played.final_obs[0, 0, 1, 0, 3] == 1
    assert played.obs[0, 0, :, 0, 3].tolist() == [0, 1, 0, 1]


def test_going_on_from_a_saved_state_changes_nothing(made: Callable[..., Batched]) -> None:
    env, other = made(3, runs=2), made(3, runs=2)
    step = torch.zeros(2, 3, 2, dtype=torch.int64)
    env.reset(torch.tensor([[True, True, False]] * 2))
    env.step(step)
    saved = env.state_dict()
    here = [x.clone() for x in env.step(step)]
    other.load_state_dict(saved)
    assert all(torch.equal(left, right) for left, right in zip(here, other.step(step), strict=True))
    assert all(
        torch.equal(left, right) for left, right in zip(env.reset(), other.reset(), strict=True)
    )


def test_an_episode_that_could_not_be_saved_is_void_when_it_goes_on(
    made: Callable[..., Batched],
) -> None:
    env, other = made(2, Forgetful), made(2, Forgetful)
    env.reset()
    saved = env.state_dict()
    assert not other.load_state_dict(saved).ended.any()
    assert move(other, STAY, STAY).void.all()
    assert seeds_seen(other.reset()) == seeds_seen(env.reset())


def test_a_simulator_that_never_starts_is_refused_with_its_own_words(
    made: Callable[..., Batched], capfd: pytest.CaptureFixture
) -> None:
    env = made(1, partial(Toy, broken=True))
    with pytest.raises(UserError, match=r"failed 3 times .* no such game"):
        env.reset()
    assert capfd.readouterr().err.count("is started again") == 2


def test_one_that_fails_in_every_episode_is_refused(made: Callable[..., Batched]) -> None:
    env = made(1)
    with pytest.raises(UserError, match="exit code 7"):
        for _ in range(4):
            env.reset()
            move(env, EXIT)


def test_failures_now_and_then_are_borne(made: Callable[..., Batched]) -> None:
    env = made(1)
    for _ in range(4):
        env.reset()
        assert move(env, EXIT).void.all()
        env.reset()
        assert move(env, END).terminated.all()


def test_workers_load_no_torch(tmp_path: Path) -> None:
    modules = "toy, partage.sims.workers.worker, partage.sims.football.match"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == 0


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def littered(litter: Path, count: int) -> tuple[list[int], list[Path]]:
    """The processes and the folders of so many toys, once they are there."""
    until = time.monotonic() + 60
    while len(notes := list(litter.glob("*.json"))) < count and time.monotonic() < until:
        time.sleep(0.05)
    read = [json.loads(note.read_text()) for note in notes]
    return [pid for each in read for pid in each["pids"]], [Path(each["folder"]) for each in read]


def assert_gone(pids: list[int], folders: list[Path]) -> None:
    """Soon: who is killed dies when the system comes to it."""
    until = time.monotonic() + 20
    while (
        left := [*filter(alive, pids), *filter(Path.exists, folders)]
    ) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


def test_closing_leaves_no_process_and_no_file(
    made: Callable[..., Batched], tmp_path: Path
) -> None:
    env = made(2, partial(Toy, litter=str(tmp_path)), workers=2)
    env.reset()
    pids, folders = littered(tmp_path, 2)
    assert len(set(folders)) == 2 and all((folder / "map").exists() for folder in folders)
    env.close()
    assert_gone(pids, [folder.parent for folder in folders])


def test_a_replaced_worker_leaves_no_process_and_no_file(
    made: Callable[..., Batched], tmp_path: Path
) -> None:
    env = made(1, partial(Toy, litter=str(tmp_path)))
    env.reset()
    pids, folders = littered(tmp_path, 1)
    move(env, HANG)
    assert_gone(pids, folders)


TRAINER = """
    import signal
    import time
    from functools import partial
    import numpy as np
    from test_pool import SPEC
    from toy import Toy
    from partage.sims.batch import Batched
    from partage.sims.workers.pool import Pool
    # a shell's background jobs are born deaf to it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    toys = partial(Toy, litter={litter!r})
    env = Batched(SPEC, partial(Pool, toys, SPEC, workers=2), [0], 2, "truncation")
    env.reset()
    {then}
    print("ready", flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, None])
@pytest.mark.parametrize(
    "then",
    ["pass", "import torch; env.step(torch.tensor([[[2, 0], [0, 0]]]))"],
    ids=["idle", "hung"],
)
def test_no_process_and_no_file_outlives_the_trainer(
    tmp_path: Path, kill: signal.Signals | None, then: str
) -> None:
    code = textwrap.dedent(TRAINER).format(litter=str(tmp_path), then=then)
    if kill is None:
        code = code.replace("time.sleep(1000)", "1 / 0").replace("[[[2, 0]", "[[[0, 0]")
    place = {"PYTHONPATH": os.pathsep.join(sys.path)}
    trainer = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | place, stderr=subprocess.DEVNULL
    )
    pids, folders = littered(tmp_path, 2)
    time.sleep(0.5)
    if kill is not None:
        trainer.send_signal(kill)
    assert trainer.wait(60) != 0
    assert_gone(pids, [folder.parent for folder in folders])


def test_workers_move_at_once(made: Callable[..., Batched], tmp_path: Path) -> None:
    env = made(2, partial(Toy, litter=str(tmp_path)), workers=2, step_within=15.0)
    env.reset()
    assert not move(env, MEET, MEET).void.any()
