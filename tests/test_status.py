"""`partage status` says how far runs are, from what trainers leave on the disk."""

import dataclasses
import json
import os
import platform
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from running import lay, recipe, started

from partage.cli import status as command
from partage.cli.parser import main
from partage.runs import environments, progress, record, status, train
from partage.runs.holding import LOCK, Held
from partage.runs.metrics import Metrics
from partage.runs.status import State

pytestmark = pytest.mark.xdist_group("train")

ENDLESS = recipe("a2c", steps=100_000_000, test_every=0)


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def told(folder: Path, node: str, **more: object) -> None:
    """What a trainer of the endless run leaves in its lock."""
    said = {"recipe": ENDLESS.hash, "steps": 60, "total": 120, "began_at": 20, "seconds": 8.0}
    said |= {"at": time.time(), "ended": False, **more}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lock").write_text(f"process 999999999 on {node} since now\n{json.dumps(said)}\n")


def test_a_run_is_seen_training_then_stopped_and_then_failed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(progress, "TELL_EVERY", 0.0)
    folder = tmp_path / "smoke/runs/a2c/mpe/15a_3c/0-1"
    path = lay(folder, ENDLESS)
    assert status.look(folder, ENDLESS).name == "waiting"
    trainer = started(lambda: train.run(path, checkpoint_every=0.0))
    try:
        deadline = time.monotonic() + 60
        while not status.look(folder, ENDLESS).seconds or not any(folder.glob("checkpoint/[ab]")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        [state] = status.beside_plan(tmp_path / "smoke", [])
    finally:
        trainer.kill()
        trainer.join()
    assert state.name == "training" and 0 < state.share < 1 and (state.seconds or 0) > 0
    assert state.says == f"process {trainer.pid} on {platform.node()}"
    before = tree(tmp_path)
    [state] = status.beside_plan(tmp_path / "smoke", [])
    assert state.name == "stopped" and state.share > 0 and "checkpoint" in state.says
    assert status.beside_plan(tmp_path / "smoke", [state]) == []
    other = dataclasses.replace(ENDLESS, steps=4000)
    assert status.look(folder, other).name == "waiting"  # today's recipe has no checkpoint
    assert tree(tmp_path) == before
    failure = {"seed": 1, "env_steps": 400, "update": 2, "measure": "reward", "value": "nan"}
    facts = {"recipe_hash": ENDLESS.hash, "failures": [failure]}
    (folder / "failed.json").write_text(json.dumps(facts))
    state = status.look(folder, ENDLESS)
    assert state.name == "failed"
    assert state.says == "seed 1 ended at 400 env steps: reward became nan"


def test_the_first_update_which_compiles_is_in_no_pace(tmp_path: Path, monkeypatch) -> None:
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time=lambda: now[0])
    monkeypatch.setattr(progress, "time", clock)
    with (tmp_path / LOCK).open("wb") as file:
        held = Held(tmp_path, file.fileno(), "process 1 on node-7 since then")
        metrics = Metrics(ENDLESS, environments.spec(ENDLESS), 1)
        shown = progress.Progress(ENDLESS, held, metrics)
        for seconds, steps in ((600.0, 40), (620.0, 60)):
            now[0], metrics.env_steps = seconds, torch.full((2,), steps)
            shown.show(metrics)
    told = status.read(tmp_path)
    assert told and told.seconds == pytest.approx((ENDLESS.steps - 60) / 20 * 20)


def test_a_trainer_of_another_machine_is_at_work_until_it_ends_or_falls_silent(
    tmp_path: Path,
) -> None:
    told(tmp_path, "elsewhere")
    state = status.look(tmp_path, ENDLESS)
    assert (state.name, state.share, state.seconds) == ("training", 0.5, 12.0)
    for more in ({"ended": True}, {"at": time.time() - status.QUIET - 1}):
        told(tmp_path, "elsewhere", **more)
        assert status.look(tmp_path, ENDLESS).name == "waiting"  # and it saved nothing
    told(tmp_path, platform.node())  # no such process lives here
    assert status.look(tmp_path, ENDLESS).name == "waiting"


@pytest.mark.parametrize(
    "lock", ["", "process 1 on here since now", "process 1 on here since now\n[1]\n", "x\n{}\n"]
)
def test_a_lock_that_says_nothing_is_that_of_a_run_that_waits(tmp_path: Path, lock: str) -> None:
    (tmp_path / "lock").write_text(lock)
    assert status.look(tmp_path, ENDLESS).name == "waiting"


def test_a_second_process_is_refused_in_one_sentence_whatever_the_first_has_told(
    tmp_path: Path, capsys
) -> None:
    path = lay(tmp_path, ENDLESS)
    with record.hold(tmp_path) as held:
        held.tell({"steps": 1})
        assert main(["train", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"process {os.getpid()} on" in said and "steps" not in said


def test_the_command_lists_what_is_under_way_and_counts_the_rest(tmp_path: Path, capsys) -> None:
    told(tmp_path / "smoke/runs/a2c/mpe/15a_3c/7", "elsewhere")
    lay(tmp_path / "smoke/runs/a2c/mpe/15a_3c/7", ENDLESS)
    before = tree(tmp_path)
    assert main(["status", "--results", str(tmp_path), "--figures", "mpd-15a_3c"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].endswith(" waiting; 0 % of the env steps")
    assert said[2] == "beside the plan:"
    assert " ".join(said[3].split()) == (
        "training 50 % a2c/mpe/15a_3c/7 about a minute left, process 999999999 on elsewhere"
    )
    assert said[4].startswith("about ") and said[4].endswith(" left, 1 at a time")
    assert tree(tmp_path) == before


def test_runs_that_wait_are_dealt_to_those_that_train_at_the_pace_of_these(
    tmp_path: Path, monkeypatch
) -> None:
    expected = {"a": 100.0, "b": 60.0, "c": 30.0}
    monkeypatch.setattr(command, "_expected", lambda state, _: expected.get(str(state.folder)))
    training = [State(Path("a"), ENDLESS, "training", 0.5, 200.0)]  # twice as slow as expected
    waiting = [State(Path(name), ENDLESS, "waiting") for name in "bc"]
    left = command.remaining([*training, *waiting], [], None)
    assert left == "about 7 minutes left, 1 at a time"  # 200 + 2 * 90 seconds
    beside = [State(Path("d"), ENDLESS, "training", 0.1, 5.0)]
    left = command.remaining([*training, *waiting], beside, None)
    assert left == "about 4 minutes left, 2 at a time"
    failed = State(Path("b"), ENDLESS, "failed")
    unknown = State(Path("e"), ENDLESS, "stopped", 0.5)
    left = command.remaining([failed, unknown, waiting[1]], [], None)
    assert left.startswith("nothing trains now: what is left takes a minute of one core, and 1 ")
    assert command.remaining([failed], [], None) == "no run is left to train"
