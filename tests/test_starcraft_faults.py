"""What goes wrong with games: no episode is recorded wrongly, and no process and no file is left
behind.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from standin import install
from standin.battle import Battle
from standin.faults import VARIABLE

from partage.envs import make
from partage.errors import UserError
from partage.rl.rollout import Choice, Rollout, collect_episodes, collect_segment
from partage.sims.contract import Env, TimeStep

NEEDS = "smacv2 is not installed: `make starcraft` adds it"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("smacv2") is None, reason=NEEDS)
TASK = "smac/3s_vs_5z"
PATIENCE = 30  # s: games that do not hang have to answer within them, on a busy machine too
BOTH = torch.ones(1, dtype=torch.bool)


class Legal:
    """Random legal actions."""

    def __init__(self) -> None:
        self.dice = torch.Generator().manual_seed(0)

    def initial(self, copies: int, explore: bool) -> None:
        return None

    def __call__(self, step: TimeStep, memory: Any, explore: bool) -> tuple[Choice, Any]:
        weights = step.avail_actions.float().flatten(0, 2)
        chosen = torch.multinomial(weights, 1, generator=self.dice)
        return Choice(chosen.view(step.alive.shape)), None


@pytest.fixture(autouse=True, scope="session")
def compiled() -> None:
    """The battle, so that no game takes its time over it."""
    Battle("3s_vs_5z", 0).advance(1)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the stand-in is installed; when the test is over, nothing must be left of what was
    started.
    """
    monkeypatch.setenv("SC2PATH", str(tmp_path / "game"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "scratch").mkdir()
    yield install.lay(tmp_path / "game")
    assert_nothing_left(tmp_path)


def playing(root: Path) -> list[int]:
    """The games of that installation that are running."""
    running = [
        process for process in psutil.process_iter(["cmdline", "status"]) if process.info["cmdline"]
    ]
    found = [process for process in running if f"{root}/" in " ".join(process.info["cmdline"])]
    return [process.pid for process in found if process.info["status"] != psutil.STATUS_ZOMBIE]


def assert_nothing_left(folder: Path, patience: float = 5.0) -> None:
    until = time.monotonic() + patience
    while (
        left := [*playing(folder / "game"), *(folder / "scratch").iterdir()]
    ) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


def launches(root: Path) -> int:
    return len(list(root.glob("launch-*")))


def assert_whole(rollout: Rollout, env: Env) -> None:
    """Every copy has one episode, from its first instant to its end, and only real ends are
    recorded.
    """
    length = rollout.filled.sum(2)
    for copy in range(env.copies):
        last = int(length[0, copy]) - 1
        assert rollout.filled[0, copy, : last + 1].all()
        assert (
            rollout.alive[0, copy, 0].all() and (rollout.obs[0, copy, 0, :, -2:] == 1).all()
        )  # unhurt, own shield
        assert rollout.terminated[0, copy].nonzero().flatten().tolist() == [last]
        assert not rollout.truncated[0, copy].any()
        survivors = rollout.alive[0, copy, last + 1].any()
        assert not survivors or last + 1 == env.spec.horizon or rollout.score[0, copy, last] == 1
        assert 0 <= rollout.reward[0, copy, :, 0].sum() < 25


FAULTS = [
    ("crash", "launch", 0),
    ("crash", "create_game", 1),
    ("crash", "step", 5),
    ("crash", "debug", 1),  # in the second reset
    ("half", "observation", 7),
    ("half", "debug", 1),
    ("status", "step", 5),
    ("status", "join_game", 1),
    ("ended", "step", 5),
    ("garbage", "observation", 4),
    ("error", "action", 3),
    ("hang", "create_game", 1),
    ("hang", "step", 5),
    ("hang", "debug", 1),
]


@pytest.mark.parametrize(("what", "where", "when"), FAULTS)
def test_a_game_that_fails_is_replaced_and_its_episode_played_again(
    root: Path, what: str, where: str, when: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"{what} {where} {when} 1")
    env = make(TASK, [0], 2, engine="package", timeout=PATIENCE if what == "hang" else 120)
    for _ in range(2):
        assert_whole(collect_episodes(env, Legal(), BOTH, True), env)
    # on a machine so busy that a sound game takes longer than PATIENCE, it is launched anew too
    assert launches(root) == 3 or (what == "hang" and launches(root) > 3)
    assert len(playing(root)) == 2
    env.close()


def test_a_game_that_starts_slowly_is_waited_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "slow launch 0 1")
    env = make(TASK, [0], 2, engine="package")
    assert_whole(collect_episodes(env, Legal(), BOTH, True), env)
    assert launches(root) == 2
    env.close()


def test_a_game_that_never_starts_is_given_up_with_what_was_wrong(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "crash launch 0 0")
    env = make(TASK, [0], 1, engine="package")
    with pytest.raises(
        UserError,
        match=r"failed 3 times without finishing an episode; the last .*Failed to connect",
    ):
        env.reset()
    assert launches(root) == 3


def test_in_a_segment_the_transition_in_which_a_game_fails_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "crash step 4 1")
    env, policy = make(TASK, [0], 1, engine="package"), Legal()
    rollout, step, _ = collect_segment(env, policy, env.reset(), None, 10)
    assert rollout.filled[0, 0].tolist() == [True] * 3 + [False] + [True] * 6
    assert (
        not step.ended.any() and (rollout.obs[0, 0, 4, :, -2:] == 1).all()
    )  # a new episode, nobody hurt
    env.close()


def test_a_saved_run_goes_on_with_new_episodes(root: Path) -> None:
    env, policy = make(TASK, [0], 2, engine="package"), Legal()
    _, step, _ = collect_segment(env, policy, env.reset(), None, 5)
    saved = env.state_dict()
    env.close()
    other = make(TASK, [0], 2, engine="package")
    step = other.load_state_dict(saved)
    rollout, _, _ = collect_segment(other, policy, step, None, 5)
    assert not rollout.filled[:, :, 0].any() and rollout.filled[:, :, 1:].all()
    assert not rollout.terminated.any()
    assert (rollout.obs[:, :, 1, :, -2:] == 1).all()
    other.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_game_and_no_file_outlives_the_trainer(root: Path, number: int) -> None:
    script = f"""
import torch
from partage.envs import make
env = make({TASK!r}, [0], 2, engine="package")
step = env.reset()
print("playing", flush=True)
while True:
    first_available = step.avail_actions.long().argmax(-1)
    step = env.reset(step.ended) if step.ended.any() else env.step(first_available)
"""
    places = {"PYTHONPATH": os.pathsep.join(sys.path)}
    trainer = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=os.environ | places
    )
    assert trainer.stdout is not None and trainer.stdout.readline() == b"playing\n"
    assert len(playing(root)) == 2
    trainer.send_signal(number)
    assert trainer.wait(10) == -number
