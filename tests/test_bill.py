"""The bill before the meal: what runs cost by a calibration, how that is measured, and what is said
of a calibration that is of something else.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from calibrated import CELL, LARGE, QMIX, SMALL, made
from packages import FOOTBALL
from small import ROOT, finish

from benchmarks import costs as page
from partage.cli.parser import main
from partage.config import bill, calibration, costs, jobs, plan, predictions, work
from partage.config.calibration import FILE, SHIPPED, Calibration, Played
from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.rl.packing import bytes_per_episode
from partage.runs import calibrate, fitting
from partage.sims.spec import Spec

PAPER = plan.Request(scale="paper")
PLAN = plan.load().for_scale("paper")
GIB = 2**30


def recipe(**values) -> Recipe:
    """A recipe of the measured cell, or of another one."""
    known = PLAN.recipes_of("qmix", "lbf/15x15-4p-5f-v2", PAPER)[0]
    plain = {
        "task": "toy/small", "settings": QMIX, "steps": 400_000, "log_every": 10_000,
        "test_every": 100_000, "test_episodes": 32,
    }  # fmt: skip
    return dataclasses.replace(known, **(plain | values))


def test_a_measured_cell_costs_its_steps_updates_and_tests():
    cost = costs.of(recipe(), made())
    steps, updates, tested = 400_000, 10_000, 5 * 32 * 40  # a test at the start, too
    a_run = steps * 1e-4 + updates * 2e-2 + tested * 2e-5
    assert cost.cpu_seconds == pytest.approx(3 + 5 * a_run)
    assert not cost.predicted


def test_memory_is_the_process_what_runs_work_on_and_their_replays_till_these_are_full():
    cost = costs.of(recipe(), made())
    replay = 5000 * 40 * 200
    assert cost.memory == pytest.approx(4e8 + 5 * (3e7 + 1.05 * replay))
    assert cost.most_memory == pytest.approx(4e8 + 5 * (3e7 + 1.05 * 5000 * 50 * 200))
    short = costs.of(recipe(steps=10_000, log_every=1000), made())
    assert short.memory == pytest.approx(4e8 + 5 * (3e7 + 1.05 * 10_000 * 200))


def test_what_recurs_is_counted_by_its_period_and_what_comes_once_comes_once():
    settings = {"sharing": "front", "copies": 8, "segment": 5, "period": 2000, "data": 100}
    cell = dataclasses.replace(
        CELL, learner="mdps", settings=settings, update_seconds=0.0, step_seconds=0.0,
        event_seconds=7.0,
    )  # fmt: skip
    values = {"settings": settings, "test_every": 0}
    mdps = costs.of(recipe(learner="mdps", **values), made(cell))
    assert mdps.cpu_seconds == pytest.approx(3 + 5 * 5 * 7)  # 10,000 updates: five periods
    once = dataclasses.replace(cell, learner="seps")
    assert costs.of(recipe(learner="seps", **values), made(once)).cpu_seconds == 3 + 5 * 7


def test_a_cell_that_was_not_measured_is_in_proportion_to_the_arithmetic_of_its_networks():
    cost = costs.of(recipe(task="toy/large", test_every=0), made())
    more = work.of_update(QMIX, LARGE) / work.of_update(QMIX, SMALL)
    acting = work.of_step(QMIX, LARGE) / work.of_step(QMIX, SMALL)
    a_run = 400_000 * (1e-5 + acting * 9e-5) + 10_000 * more * 2e-2
    assert cost.predicted and more > 3
    assert cost.cpu_seconds == pytest.approx(3 + 5 * a_run)
    assert costs.of(recipe(seeds=[0]), made()).predicted  # a pack of another size


def test_between_two_measured_cells_a_power_law_decides_and_a_held_out_one_tells_how_well():
    points = {1.0: 1.0, 100.0: 100.0**0.5}
    assert predictions.power_law(points, 25.0) == pytest.approx(5.0)
    assert predictions.power_law(points, 400.0) == pytest.approx(20.0)
    assert predictions.power_law(points, 0.25) == pytest.approx(0.5)
    assert predictions.power_law({1.0: 3.0, 100.0: 1.0}, 400.0) == pytest.approx(1.0)  # no cheaper
    assert predictions.power_law({1.0: 1.0, 10.0: 1e6}, 100.0) == pytest.approx(1e7)
    tasks = made().tasks
    law = predictions.predict(dataclasses.replace(CELL, task="toy/large"), [CELL], tasks)
    assert predictions.error([CELL], tasks) is None
    exact = predictions.error([CELL, law], tasks)
    assert exact is not None and exact.median == pytest.approx(0)
    slow = dataclasses.replace(law, update_seconds=2 * law.update_seconds)
    off = predictions.error([CELL, slow], tasks)
    assert off is not None and off.median > 0.3


def test_a_learner_alone_in_the_calibration_is_predicted_by_those_of_its_kind():
    stranger = recipe(learner="regrouped", settings={**QMIX, "groups": 2})
    assert costs.of(stranger, made()).cpu_seconds == pytest.approx(
        costs.of(recipe(), made()).cpu_seconds
    )
    with pytest.raises(UserError, match="No learner like a2c is in the calibration"):
        costs.of(recipe(learner="a2c", settings={"copies": 8, "segment": 5}), made())
    with pytest.raises(UserError, match="Task lbf/8x8-2p-2f-coop-v3 is not in the calibration"):
        costs.of(recipe(task="lbf/8x8-2p-2f-coop-v3"), made())


def test_what_is_made_costs_nothing_and_a_run_of_two_figures_counts_once(tmp_path: Path):
    one, two = recipe(), recipe(algorithm="other")
    both = bill.line("both", [one, two], tmp_path, made())
    finish([one], tmp_path)
    left = bill.line("left", [one, two], tmp_path, made())
    assert (both.made, left.made, left.runs) == (0, 1, 2)
    assert left.cpu_hours == pytest.approx(both.cpu_hours / 2)
    assert left.underway == pytest.approx(both.underway / 2)
    figures = [PLAN.figures[name] for name in ("mpd-fig3", "mpd-15a_3c")]
    apart = [bill.line("", PLAN.recipes([each], PAPER), tmp_path, SHIPPED_ONE) for each in figures]
    total = bill.line("", PLAN.recipes(figures, PAPER), tmp_path, SHIPPED_ONE)
    assert total.cpu_hours == pytest.approx(apart[0].cpu_hours) and apart[1].cpu_hours > 0


SHIPPED_ONE = calibration.read(SHIPPED)


def printed(capsys, *words: str) -> tuple[int, str, str]:
    """Run a command; return its exit code, and what it printed."""
    code = main([*words])
    return code, *capsys.readouterr()


def test_the_bill_names_the_calibration_and_says_what_else_made_it(tmp_path: Path, capsys):
    words = ["plan", "--scale", "paper", "--cost", "--results", str(tmp_path)]
    code, out, _ = printed(capsys, *words)
    assert code == 0 and "the suite's own, of its reference machine" in out
    assert "mpd-fig3" in out and "total" in out and "off by" in out
    today = dataclasses.replace(SHIPPED_ONE, **vars_of(calibrate.nothing()))
    (tmp_path / FILE).write_text(today.text())
    _, out, _ = printed(capsys, *words)
    assert f"calibration: {tmp_path / FILE}" in out and "it is of another" not in out
    other = dataclasses.replace(today, machine={**today.machine, "cpu": "Z80"}, code="older")
    (tmp_path / FILE).write_text(other.text())
    _, out, _ = printed(capsys, *words)
    assert "it is of another CPU and other code than today's" in out


def vars_of(empty: Calibration) -> dict:
    """What says where a calibration was made."""
    return {name: getattr(empty, name) for name in ("machine", "code", "versions")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is corrupt"),
        ("[]", "is corrupt (it holds no object)"),
        ('{"schema": 7}', "is no calibration of schema 2 (it has 7)"),
        ('{"recipe": {}}', "is no calibration of schema 2 (it has None)"),
        ('{"schema": 2, "whole": false, "cells": [1, 2]}', "is half a calibration"),
        ('{"schema": 2, "whole": false, "cells": 3}', "is half a calibration"),
        ('{"schema": 2, "whole": true}', "is no calibration (tasks and cells are missing)"),
    ],
)
def test_a_damaged_foreign_or_half_calibration_is_refused_in_a_sentence(
    tmp_path: Path, capsys, text: str, words: str
):
    (tmp_path / FILE).write_text(text)
    code, _, err = printed(capsys, "plan", "--cost", "--results", str(tmp_path))
    assert code == 2 and words in err and "partage calibrate" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("cells", 0, "update_seconds"), -1, "update_seconds should be a number from 0 on"),
        (("cells", 0, "update_seconds"), "fast", "update_seconds should be a number from 0 on"),
        (("cells", 0, "settings"), None, "settings should be a table"),
        (("cells", 0), 3, "a table is expected"),
        (("cells", 0, "task"), "mars/colony", "task mars/colony is missing"),
        (("tasks", "toy/small", "length"), None, "length should be a number from 0 on"),
        (("tasks", "toy/small", "colour"), 3, "Unknown key 'colour'"),
        (("base_bytes",), 1.5, "base_bytes should be a number from 0 on"),
    ],
)
def test_a_value_that_no_calibration_has_is_refused_in_a_sentence(
    tmp_path: Path, place: tuple, value: object, words: str
):
    raw = json.loads(made().text())
    inner = raw
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (tmp_path / FILE).write_text(json.dumps(raw))
    with pytest.raises(UserError) as refused:
        calibration.load(tmp_path)
    assert words in str(refused.value)


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path):
    (tmp_path / FILE).write_text(made().text())
    assert calibration.load(tmp_path) == made()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--figures", "bdps-fig7"], "figures bdps-fig7 need none", marks=FOOTBALL),
        (["--figures", ""], "Unknown figure ''"),
        (["--scale", "papr"], "did you mean 'paper'?"),
    ],
)
def test_a_bill_of_nothing_is_refused(capsys, words: list[str], said: str):
    code, _, err = printed(capsys, "plan", "--cost", *words)
    assert code == 2 and said in err and err.count("\n") == 1


def test_planning_the_cost_loads_neither_torch_nor_numba():
    program = """
import sys
from partage.cli.parser import main
assert main(["plan", "--scale", "paper", "--cost"]) == 0
print(sorted({"torch", "numba", "pandas"} & set(sys.modules)), file=sys.stderr)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stderr.splitlines()[-1] == "[]"


def answers(request: dict) -> dict:
    """What a measuring process would find."""
    plain = {"base_bytes": 400_000_000, "start_seconds": 3.0}
    if request["wanted"] == "play":
        found = [dataclasses.asdict(SMALL) for _ in request["recipes"]]
    else:
        costs = ("step_seconds", "update_seconds", "test_seconds", "working_bytes", "kept_bytes")
        found = [{name: getattr(CELL, name) for name in costs}]
    return {**plain, "found": found}


def test_an_interrupted_calibration_goes_on_and_a_finished_one_is_left_alone(
    tmp_path: Path, monkeypatch, capsys
):
    path, asked = tmp_path / FILE, []

    def ask(what: str, recipes: list[Recipe], part: Path) -> dict:
        asked.append(what)
        if len(asked) == 3:
            raise KeyboardInterrupt
        wanted = "play" if what.startswith("tasks") else "train"
        return answers({"wanted": wanted, "recipes": recipes})

    monkeypatch.setattr(calibrate, "_ask", ask)
    cells = {"qmix": ["lbf/15x15-4p-5f-v2", "smac/5m_vs_6m"]}
    with pytest.raises(KeyboardInterrupt):
        calibrate.calibrate(path, cells=cells)
    assert not path.exists()
    done = calibrate.calibrate(path, cells=cells)
    assert asked[2] == asked[3] and len(asked) == len(set(asked)) + 1
    assert done.whole and calibration.load(tmp_path) == done and len(done.cells) == 2
    assert [left.name for left in tmp_path.iterdir()] == [FILE]
    count = len(asked)
    calibrate.calibrate(path, cells=cells)
    assert len(asked) == count and "already" in capsys.readouterr().out
    asked.clear()
    with pytest.raises(KeyboardInterrupt):
        calibrate.calibrate(path, anew=True, cells=cells)
    assert len(asked) == 3 and calibration.load(tmp_path) == done  # the old one is there yet
    calibrate.calibrate(path, anew=True, cells=cells)
    assert asked[2] == asked[3] and len(asked) == count
    path.write_text(dataclasses.replace(done, code="older").text())
    calibrate.calibrate(path, cells=cells)
    assert len(asked) == 2 * count - 1  # all of it: it was of other code


def test_a_cell_and_a_task_are_measured_by_training_and_playing_them(tmp_path: Path):
    config, request = plan.load().for_scale("smoke"), plan.Request(scale="smoke")
    recipes = [config.recipes_of("qmix", "lbf/8x8-2p-2f-coop-v3", request)[0]]
    recipes[0].settings["batch"] = 8
    played = calibrate._ask("tasks", recipes, tmp_path)["found"][0]
    assert Played(**played).agents == 2 and 0 < played["length"] <= played["longest"] <= 50
    spec = Spec(2, 6, 12, 24, 50, common_reward=False, state_is_obs=True)
    exact = bytes_per_episode(spec, 50) / 50  # of those that last: no share of it is lost
    assert played["step_bytes"] == pytest.approx(exact, rel=0.02)
    found = calibrate._ask("qmix", recipes, tmp_path)
    cell = dataclasses.replace(CELL, **found["found"][0])
    assert 0 < cell.step_seconds < cell.update_seconds < 10
    assert cell.test_seconds > 0 and cell.event_seconds == 0
    assert 1e7 < cell.working_bytes < 1e9 and 1e8 < found["base_bytes"] < 2e9


def test_a_measurement_that_fails_says_what_was_measured_and_where_the_rest_is_kept(tmp_path: Path):
    odd = recipe(task="mars/colony")
    with pytest.raises(UserError, match=r"Could not measure mars \(.*\): repeat .*part.json"):
        calibrate._ask("mars", [odd], tmp_path / "calibration.part.json")


def test_a_job_asks_for_more_memory_when_it_is_tried_again_and_never_for_more_time():
    asked = [jobs.ask(recipe(), made(), "cpu", 24, attempt) for attempt in (1, 2, 9)]
    cost = costs.of(recipe(), made())
    assert [each.minutes for each in asked] == [asked[0].minutes] * 3
    assert asked[0].memory < asked[1].memory <= asked[2].memory
    assert asked[0].memory * jobs.MB >= 1.2 * cost.memory
    assert asked[2].memory == pytest.approx(jobs.SPARE_MEMORY * cost.most_memory / jobs.MB, abs=1)


def test_a_job_asks_for_the_time_of_its_run_within_what_the_partition_has():
    cost = costs.of(recipe(), made())
    assert jobs.ask(recipe(), made(), "cpu", 24).minutes >= cost.cpu_seconds / 60
    long = recipe(steps=400_000_000)
    assert jobs.ask(long, made(), "cpu", 24).minutes == 24 * 60
    assert jobs.ask(recipe(), made(), "cuda", 24).minutes == 24 * 60  # no calibration has its speed
    slower = recipe(engine="package")  # no calibration has its speed either, only its memory
    asked = jobs.ask(slower, made(), "cpu", 24)
    assert asked == jobs.Ask(jobs.ask(recipe(), made(), "cpu", 24).memory, 24 * 60)
    tiny = recipe(steps=1000, log_every=1000, test_every=0)
    assert jobs.ask(tiny, made(), "cpu", 24).minutes == 30
    unknown = [(None, made()), (recipe(), None), (recipe(task="mars/colony"), made())]
    for each in unknown:
        assert jobs.ask(each[0], each[1], "cpu", 24) == jobs.Ask(6000, 24 * 60)


def test_a_bill_for_another_engine_than_the_one_measured_is_refused_in_a_sentence(tmp_path: Path):
    with pytest.raises(UserError, match=r"engine batched plays toy/small, but the engine package"):
        bill.line("one", [recipe(engine="package")], tmp_path, made())


def test_runs_that_their_attempts_cannot_end_are_remarked_upon():
    long = recipe(steps=400_000_000)
    assert jobs.remark([recipe()], made(), 24, 4) == ""
    assert jobs.remark([long], None, 24, 4) == ""
    said = jobs.remark([recipe(), long], made(), 24, 4)
    hours = costs.of(long, made()).cpu_seconds / 3600
    assert said.startswith("1 runs need more than 4 jobs of 24 hours") and f"{hours:,.0f}" in said


def test_runs_that_share_a_gpu_are_refused_on_a_cluster():
    shared = plan.Request(device="cuda", runs_per_gpu=3)
    jobs.refuse_shared_gpus(shared, on_a_cluster=False)
    with pytest.raises(UserError, match="runs_per_gpu=3 is for the GPUs of one machine"):
        jobs.refuse_shared_gpus(shared, on_a_cluster=True)


def test_a_run_that_does_not_fit_the_memory_is_refused_with_the_number(tmp_path: Path, monkeypatch):
    (tmp_path / FILE).write_text(made().text())
    path = tmp_path / "paper/runs/qmix/toy/small/0-4/recipe.json"
    fitting.refuse_what_does_not_fit([recipe()], path)
    need = costs.of(recipe(), made()).memory
    monkeypatch.setattr(fitting, "available_memory", lambda: need - 1)
    with pytest.raises(UserError) as refused:
        fitting.refuse_what_does_not_fit([recipe()], path)
    one = costs.of(recipe(seeds=[0]), made()).memory
    assert f"needs about {need / GIB:.1f} GiB" in str(refused.value)
    assert f"one takes {one / GIB:.1f} GiB" in str(refused.value)
    monkeypatch.setattr(fitting, "available_memory", lambda: None)  # the system does not tell
    fitting.refuse_what_does_not_fit([recipe()], path)


def test_the_page_of_costs_has_those_that_the_shipped_calibration_says():
    text = (ROOT / "docs/costs.md").read_text(encoding="utf-8")
    assert page.table(text, SHIPPED_ONE) == text, "python -m benchmarks.costs writes them"
    assert text.count("CPU-hours, ") >= 8
