"""Code that was seen to make the same curves makes no run stale: the list, and its making."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from running import lay, recipe
from small import ROOT, curve

from partage.__main__ import main
from partage.config import plan
from partage.errors import UserError
from partage.runs import code_comparison, equal_code, record, verify, worktrees
from partage.runs.equal_code import Entry, Stamp

A, B, C, D = (letter * 64 for letter in "abcd")
STUB = Path(__file__).parent / "stub_commit.py"


def entry(before: str, after: str, learner: str = "mdps", family: str = "mpe") -> Entry:
    """Return an entry of a comparison that nobody made."""
    return Entry(
        before=Stamp(before, before[:40]),
        after=Stamp(after, after[:40]),
        learner=learner,
        family=family,
        tasks=["mpe/15a_3c"],
        algorithms=["mdps"],
        steps=4000,
        seeds=[0, 1],
        machine='A "Processor"',
        versions={"torch": "2.13.0+cpu"},
        date="2026-11-26",
    )


def test_what_is_written_is_what_is_read(tmp_path: Path):
    path = tmp_path / "equal-code.toml"
    assert equal_code.read(path) == []
    code_comparison.append(path, entry(A, B))
    code_comparison.append(path, entry(B, C))
    assert equal_code.read(path) == [entry(A, B), entry(B, C)]
    assert path.read_text().startswith("# Code that was seen")


def test_the_committed_list_can_be_read_and_the_package_has_it():
    assert equal_code.read() == equal_code.read(ROOT / "results/published/equal-code.toml")


def test_entries_chain_in_both_directions_by_the_shortest_way():
    entries = [entry(A, B), entry(B, C), entry(D, C), entry(A, D)]
    assert equal_code.chain(entries, "mdps", "mpe", A, C) in (
        [entries[0], entries[1]],
        [entries[3], entries[2]],
    )
    assert equal_code.chain(entries[:3], "mdps", "mpe", A, D) == entries[:3]
    assert equal_code.chain(entries, "mdps", "mpe", D, A) == [entries[3]]


def test_nothing_leads_to_itself_to_the_unknown_or_from_another_learner_or_family():
    entries = [entry(A, B)]
    assert equal_code.chain(entries, "mdps", "mpe", A, A) == []
    assert equal_code.chain(entries, "mdps", "mpe", A, C) == []
    assert equal_code.chain(entries, "a2c", "mpe", A, B) == []
    assert equal_code.chain(entries, "mdps", "smac", A, B) == []
    assert equal_code.chain([], "mdps", "mpe", A, B) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[[equal]]", "[[equals]]", "did you mean 'equal'"),
        ("[[equal]]", "[equal]", "should be a list"),
        ("[[equal]]", "[[equal", "not valid TOML"),
        ("learner =", "leaner =", "did you mean 'learner'"),
        ('family = "mpe"\n', "", "lacks the key 'family'"),
        ("steps = 4000", 'steps = "4000"', "a whole number"),
        ("steps = 4000", "steps = 0", "at least 1"),
        ("seeds = [0, 1]", "seeds = []", "is empty"),
        ('tasks = ["mpe/15a_3c"]', "tasks = []", "is empty"),
        (f'"{A}"', '"abc"', "whole sha256"),
        (f'"hash" = "{A}"', f'"hash" = "{B}"', "are one"),
        ('"hash" =', '"hush" =', "did you mean 'hash'"),
        ('"2.13.0+cpu"', "2.13", "versions are texts"),
        ("2026-11-26", "26 November", "written as 2026-11-26"),
    ],
)
def test_a_malformed_list_is_one_sentence(tmp_path: Path, old: str, new: str, words: str):
    path = tmp_path / "equal-code.toml"
    content = equal_code.write_toml([entry(A, B)])
    assert old in content
    path.write_text(content.replace(old, new))
    with pytest.raises(UserError, match=words) as error:
        equal_code.read(path)
    assert "\n" not in str(error.value)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a finished run of other code than today's, in a folder without a list."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(equal_code, "read", lambda: [])
    one = recipe("mdps")
    folder = Path("results/smoke/runs/mdps/mpe/15a_3c/0-1")
    lay(folder, one)
    made = record.provenance(
        one,
        started=datetime.now(UTC),
        wall_seconds=1.0,
        cpu_seconds=1.0,
        resumed=0,
        threads=1,
        device="cpu",
    )
    made["code"] = {"hash": A, "commit": A[:40], "files": {"partage/gone.py": "0"}}
    record.write(folder, curve(one), made)
    return folder


def equal_to_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put entries into the list that lead from the run's code over other code to today's."""
    today = record.code("mdps", "mpe")["hash"]
    monkeypatch.setattr(equal_code, "read", lambda: [entry(A, B), entry(B, today)])


def test_a_run_whose_code_is_equal_by_comparison_is_not_stale(run: Path, monkeypatch, capsys):
    assert main(["stale"]) == 0
    assert f"{run}: partage/_jit.py, " in capsys.readouterr().out
    equal_to_today(monkeypatch)
    assert main(["stale"]) == 0
    out = capsys.readouterr().out
    assert f"{run}: equal by comparison (aaaaaaa and bbbbbbb on mpe/15a_3c" in out
    assert "no run was made by other code than today's" in out


def test_verify_wants_every_bit_where_code_is_equal_by_comparison(run: Path, monkeypatch):
    made = record.read(run)[1]
    today = {**made, "code": record.code("mdps", "mpe")}
    assert verify.elsewhere(made, today) != []
    assert verify.elsewhere(made, today, [entry(A, B)]) != []
    assert verify.elsewhere(made, today, [entry(A, today["code"]["hash"])]) == []

    def train_again(path: Path, device: str) -> None:
        again = json.loads(path.read_text())
        record.write(path.parent, curve(recipe("mdps")), {**today, "recipe": again})

    monkeypatch.setattr(verify.train, "run", train_again)
    assert "other code (partage/_jit.py" in verify.verify(run).says
    equal_to_today(monkeypatch)
    found = verify.verify(run)
    assert found.verdict == "same bits" and "other code, equal by comparison (" in found.says


def test_a_shortened_recipe_lets_everything_happen():
    sheets = plan.load()
    for planned in code_comparison.planned_runs(sheets):
        short = code_comparison.shorten(planned.recipe, 4000)
        assert (short.steps, len(short.seeds)) == (4000, min(2, len(planned.recipe.seeds)))
        assert short.log_every <= 500
        if "target_every" in short.settings:
            assert short.settings["target_every"] == 20
    assert code_comparison.shorten(recipe("mdps"), 4000).settings["period"] == 8


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody; return what it printed."""
    somebody = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *somebody, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with a package that trains nothing, but behaves as one that does."""
    folder = tmp_path / "repository"
    package = folder / "src/partage"
    for name in ("learners", "envs", "runs"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "learners/mdps.py").write_text("A = 1\n")
    (package / "__main__.py").write_bytes(STUB.read_bytes())
    record.write(package / "curves", curve(recipe("mdps")), {})
    (package / "CURVE").write_bytes((package / "curves/curve.parquet").read_bytes())
    git(tmp_path, "init", "-q", str(folder))
    commit(folder)
    return folder


def commit(repository: Path, **files: str) -> str:
    """Commit a change of files of the package; return its name."""
    for name, content in files.items():
        (repository / "src/partage" / f"{name}.py").write_text(content)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "--allow-empty", "-m", "Change")
    return git(repository, "rev-parse", "HEAD")


def made_by(place: Path, commit: str, stamp: str = "") -> list[code_comparison.Run]:
    """Return one run of mdps as if a commit had made it."""
    return [code_comparison.Run(place, recipe("mdps"), commit, stamp)]


def compare(repository: Path, runs: list[code_comparison.Run], **more):
    """Return what the only pair came to."""
    pairs = code_comparison.group(runs, **more)
    ((_, outcome),) = code_comparison.compare_all(repository, pairs, [], 600)
    return outcome


def test_two_commits_that_make_the_same_curves_are_an_entry(repository: Path, tmp_path: Path):
    before = git(repository, "rev-parse", "HEAD")
    after = commit(repository, moved="A = 1\n")
    outcome = compare(repository, made_by(tmp_path, before))
    assert outcome.says == ["same bits  mdps on mpe/15a_3c"] and outcome.entry is not None
    assert (outcome.entry.before.commit, outcome.entry.after.commit) == (before, after)
    assert outcome.entry.before.hash != outcome.entry.after.hash
    assert (outcome.entry.learner, outcome.entry.tasks) == ("mdps", ["mpe/15a_3c"])
    assert outcome.entry.machine == "stub" and outcome.entry.steps == 600
    assert git(repository, "worktree", "list").count("\n") == 0  # both are removed
    code_comparison.append(tmp_path / "list.toml", outcome.entry)
    assert equal_code.read(tmp_path / "list.toml") == [outcome.entry]


def test_other_curves_are_no_entry_and_where_they_part_is_said(repository: Path, tmp_path: Path):
    before = git(repository, "rev-parse", "HEAD")
    rows = curve(recipe("mdps"))
    rows.loc[3, "value"] = float(np.nextafter(rows["value"].iat[3], np.inf))
    record.write(tmp_path / "other", rows, {})
    (repository / "src/partage/CURVE").write_bytes((tmp_path / "other/curve.parquet").read_bytes())
    commit(repository)
    outcome = compare(repository, made_by(tmp_path, before))
    assert outcome.entry is None
    assert outcome.says[0].startswith("DIFFERENT  mdps on mpe/15a_3c: first at seed 0, 400 steps")


def test_code_that_fails_is_no_entry_and_its_last_words_are_said(repository: Path, tmp_path: Path):
    before = git(repository, "rev-parse", "HEAD")
    commit(repository, __main__="raise SystemExit('no such setting')\n")
    outcome = compare(repository, made_by(tmp_path, before))
    assert outcome.entry is None
    assert "the code after failed with exit code 1: no such setting" in outcome.says[0]


def test_commits_without_checkpoint_every_train_in_one_go(repository: Path, tmp_path: Path):
    stub = STUB.read_text()
    old = commit(repository, __main__=stub.replace('"--checkpoint-every"', '"--nothing"'))
    commit(repository, __main__=stub)
    assert compare(repository, made_by(tmp_path, old)).entry is not None


def test_runs_of_a_changed_checkout_are_not_linked_by_its_commit(repository: Path, tmp_path: Path):
    before = git(repository, "rev-parse", "HEAD")
    commit(repository, moved="A = 1\n")
    outcome = compare(repository, made_by(tmp_path / "place", before, D))
    assert outcome.entry is None and "was made by a changed" in outcome.says[0]


def test_a_commit_that_is_not_in_the_repository_is_said(repository: Path, tmp_path: Path):
    outcome = compare(repository, made_by(tmp_path, "f" * 40, A))
    assert (
        outcome.entry is None and f"Commit {'f' * 40} is not in the repository" in outcome.says[0]
    )


def test_runs_of_today_s_stamp_or_of_one_that_is_linked_to_it_are_left_out(
    repository: Path, tmp_path: Path
):
    head = git(repository, "rev-parse", "HEAD")
    stamp = code_comparison.code("mdps", "mpe", repository / "src/partage")["hash"]
    pairs = code_comparison.group(made_by(tmp_path, head, stamp))
    assert list(code_comparison.compare_all(repository, pairs, [], 600)) == []
    pairs = code_comparison.group(made_by(tmp_path, "f" * 40, A))
    entries = [entry(A, stamp)]
    assert list(code_comparison.compare_all(repository, pairs, entries, 600)) == []


def test_a_commit_that_made_no_run_is_compared_on_one_recipe_of_each_algorithm(tmp_path: Path):
    runs = [*made_by(tmp_path, "a", A), *made_by(tmp_path, "b", B), *made_by(tmp_path, "b", B)]
    (pair,) = code_comparison.group(runs, commit="c")
    assert len(pair.runs) == 1 and pair.runs[0].hash == ""
    (pair,) = code_comparison.group(runs, commit="b")
    assert [run.hash for run in pair.runs] == [B, B]
    with pytest.raises(UserError, match="no run of qmix on any family"):
        code_comparison.group(runs, learner="qmix")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nowhere"], "Commit nowhere is not in the repository"),
        (["--runs", "nowhere"], "There is no folder nowhere"),
        (["--steps", "0"], "--steps is at least 1"),
        (["--learner", "mdp"], "no run of mdp on any family"),
    ],
)
def test_the_command_refuses_in_one_sentence(options: list[str], words: str, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["equal-code", *options]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_the_command_adds_what_is_equal_and_its_exit_code_says_whether_all_was(
    repository: Path, run: Path, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(worktrees, "find_repository", lambda _: repository)
    monkeypatch.setattr(equal_code, "read", lambda path: [])
    before = git(repository, "rev-parse", "HEAD")
    commit(repository, moved="A = 1\n")
    options = ["--runs", str(run.parent), "--family", "mpe", "--list", "list.toml"]
    options += ["--learner", "mdps"]
    assert main(["equal-code", before, *options]) == 0
    assert "same bits  mdps on mpe/15a_3c" in capsys.readouterr().out
    monkeypatch.undo()
    (made,) = equal_code.read(tmp_path / "list.toml")
    assert made.before.commit == before
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worktrees, "find_repository", lambda _: repository)
    assert main(["equal-code", *options]) == 1  # the commit that made the run is nowhere
    assert "UNKNOWN    Commit aaaaaaa" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_comparison_that_is_cut_off_leaves_no_worktree_and_keeps_what_it_had_found(
    repository: Path, tmp_path: Path, number: signal.Signals
):
    first = git(repository, "rev-parse", "HEAD")
    hangs = STUB.read_text().replace("finish(folder, resumed)", "time.sleep(60)", 1)
    second = commit(repository, __main__=hangs)
    commit(repository, moved="A = 1\n", __main__=STUB.read_text())
    program = f"""
import sys
from pathlib import Path
from partage.__main__ import main
from partage.runs import code_comparison, worktrees
from running import recipe
worktrees.find_repository = lambda _: Path({str(repository)!r})
made = [code_comparison.Run(Path("x"), recipe("mdps"), name, "") for name in {[first, second]!r}]
code_comparison.find_runs = lambda folders: made
code_comparison.group = lambda runs, *_: [
    code_comparison.Pair(run.commit, "mdps", "mpe", [run]) for run in made
]
sys.exit(main(["equal-code", "--list", "list.toml", "--steps", "600"]))
"""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "list.toml").exists() or not trains(temporary):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    finally:
        process.kill()
        process.wait()
    assert git(repository, "worktree", "list").count("\n") == 0
    assert not list(temporary.iterdir())
    (kept,) = equal_code.read(tmp_path / "list.toml")
    assert kept.before.commit == first


def trains(place: Path) -> bool:
    """Return whether the code before has written a checkpoint below a folder that changes."""
    return any(
        "/before/" in name and name.endswith("/checkpoint") and files
        for name, _, files in os.walk(place)
    )


def test_a_commit_s_name_is_no_option_of_git_s() -> None:
    with pytest.raises(UserError, match="Commit --help is not in the repository"):
        worktrees.find_commit(ROOT, "--help")
