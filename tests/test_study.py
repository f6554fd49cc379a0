"""A study of one's own: a folder whose learners, environments and sheets join those shipped."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small import ROOT, edit
from test_contributing import blocks

import partage
from partage import envs, learners
from partage.__main__ import main
from partage.config import plan, study
from partage.config.request import Request
from partage.errors import UserError
from partage.runs import environment_contract, learner_contract
from partage.runs.code_stamps import code
from partage.runs.learner_contract import Player
from partage.sims.particles.tasks import TASKS

pytestmark = pytest.mark.xdist_group("study")  # what the tests share is made once

# where CONTRIBUTING.md's files lie in a study
PLACES = {
    "src/partage/config/sheets/": "sheets/",
    "src/partage/report/captions/": "captions/",
    "src/partage/": "",
}
RUN = "results/smoke/runs/halves+steps=960/roll_call/4x2-6/7"
SHOW = ("show", "halves", "roll_call/4x2-6")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new study, with CONTRIBUTING's learners, environment and figure besides."""
    folder = tmp_path_factory.mktemp("studies") / "our-study"
    assert main(["new", str(folder)]) == 0
    for _, file, text in blocks():
        if file:
            place = next(place for place in PLACES if file.startswith(place))
            target = folder / file.replace(place, PLACES[place])
            with target.open("a", encoding="utf-8") as opened:
                opened.write("\n" + text if target.suffix == ".toml" else text)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, which this process works in."""
    yield from entered(made, tmp_path / made.name, monkeypatch)


@pytest.fixture(scope="module")
def trained(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it that has a run of its own learner."""
    folder = tmp_path_factory.mktemp("trained") / made.name
    with pytest.MonkeyPatch.context() as monkeypatch:
        for _ in entered(made, folder, monkeypatch):
            command = "run halves roll_call/4x2-6 --seeds 7, --steps 960"
            assert main(command.split()) == 0
    return folder


def entered(made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a copy of a folder for a while, and leave no trace in this process."""
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    before = {room: list(room.__path__) for room in (learners, envs)}
    path, modules = list(sys.path), set(sys.modules)
    yield folder
    for room, places in before.items():
        room.__path__[:] = places
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """The sentence a command refuses with."""
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("partage: ") and said.count("\n") == 1, said
    return said


def test_a_new_study_plans_its_own_figures_and_knows_all_that_is_shipped(here: Path) -> None:
    sheets = plan.load()
    assert sheets.ready()[0] == ["first", "ring"]
    assert [figure.name for figure in sheets.select_figures("first,mpd-fig3")] == [
        "first",
        "mpd-fig3",
    ]
    assert {"halves", "pairs", "mdps"} <= sheets.variants.keys()
    assert {"roll_call/4x2-6", "ring/4x6", "mpe/15a_3c"} <= sheets.tasks.keys()
    assert plan.caption("first.rst") == here / "captions/first.rst"
    assert plan.caption("mpd-fig3.rst").is_file()
    assert (here / "README.md").read_text().startswith("# our-study\n")
    asked = sheets.recipes_of("fps", "mpe/15a_3c", Request())
    assert asked[0].hash == plan.load(ROOT).recipes_of("fps", "mpe/15a_3c", Request())[0].hash


def test_outside_of_any_study_nothing_of_one_is_known(
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        ["plan", "--figures", "first"],
        ["run", "halves", "mpe/15a_3c"],
        ["show", "fps", "ring/4x6"],
    ):
        assert refused(capsys, *command).endswith("own are known in its folder alone.\n")
    assert "study" not in refused(capsys, "plan", "--scale", "papr")
    with pytest.raises(UserError, match="in its folder alone"):
        learners.make("halves", TASKS["15a_3c"].spec, {}, [0])
    with pytest.raises(UserError, match="in its folder alone"):
        envs.make("ring/4", [0], 1)
    sheets = plan.load()
    assert sheets.own is None and "halves" not in sheets.learners
    assert sheets.all_of(sheets.figures) == list(sheets.figures)
    monkeypatch.setenv(study.VARIABLE, str(made))
    assert "halves" in plan.load().learners
    assert "its folder" not in refused(capsys, "plan", "--figures", "frist")


TWO_STRAYS = """
[x]
paper = "x"
title = "x"
caption = "x.rst"
tasks = ["mpe/15", "mpe/15a_3c", "mpe/30a"]
algorithms = ["fsp"]
metric = "train_return"
x = "updates"
y_label = "y"
"""


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("learners/a2c.py", "", "learners/a2c.py has the name of a file that partage has"),
        ("learners/_passes.py", "", "learners/_passes.py has the name of a file"),
        ("envs/mpe.py", "", "envs/mpe.py has the name of a file that partage has in envs"),
        ("learners/two.py", "x = 1\n", "learners/two.py has no class Settings"),
        ("learners/two.py", "def\n", "Could not read the settings of learner 'two'"),
        ("sheets/algorithms.toml", "[mdps]\n", "partage has 'mdps' already"),
        ("sheets/algorithms.toml", "[halves\n", "algorithms.toml is not valid TOML"),
        ("sheets/algorithms.toml", '[x]\nlike = "mpds"\n', "lacks the keys 'label', 'colour'"),
        ("sheets/tasks.toml", "[sea.task.a]\n", "envs/sea.py that plays it"),
        ("sheets/tasks.toml", "[mpe]\nsteps = 7\n", "'steps'"),
        ("sheets/tasks.toml", "[mpe.task.15a_3c]\n", "partage has 'mpe/15a_3c' already"),
        ("sheets/figures.toml", "[mpd-fig3]\n", "partage has 'mpd-fig3' already"),
        ("sheets/algorithm.toml", "", "did you mean 'algorithms'"),
        ("sheets/figures.toml", "[x]\ntitel = 1\ntask = 2\n", "Unknown keys 'titel', 'task' in"),
        ("sheets/figures.toml", "[x]\n", "lacks the keys 'paper', 'title', 'caption'"),
        ("sheets/figures.toml", TWO_STRAYS, "Unknown tasks 'mpe/15', 'mpe/30a' in figures.toml"),
        ("sheets/figures.toml", TWO_STRAYS, "'mpe/30a_5c'? Unknown algorithm 'fsp' in"),
        ("partage.toml", "", "lacks the key 'partage'"),
        ("partage.toml", 'partage = "99.0"\n', "is for partage 99.0 or later"),
        ("partage.toml", 'partage = "new"\n', "a version is written 0.2.0"),
        ("partage.toml", 'name = "x"\n', "Unknown key 'name'"),
    ],
)
def test_a_mistake_in_a_study_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, words: str
) -> None:
    (here / file).write_text(text)
    assert words in refused(capsys, "plan")


def test_a_study_without_what_it_needs_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "envs/ring.py").write_text("import nowhere_at_all\n")
    run = ("run", "pairs", "ring/4x6")
    assert "Could not import" in refused(capsys, *run)
    (here / "envs/ring.py").write_text("")
    assert "envs/ring.py has no make" in refused(capsys, *run)
    (here / "learners/halves.py").write_text(NO_RETURN)
    assert "make in" in (said := refused(capsys, "run", "halves", "roll_call/4x2-6"))
    assert "returned NoneType, which lacks policy, copies" in said
    with pytest.raises(UserError, match="does make end with return"):
        partage.check_learner("halves")
    shutil.rmtree(here / "sheets")
    assert "has no folder sheets" in refused(capsys, "plan")
    monkeypatch.setenv(study.VARIABLE, str(here / "learners"))
    assert "which is no study (it has no partage.toml)" in refused(capsys, "list")


NO_RETURN = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    lr: float = 1e-3


def make(spec, settings, seeds, device):
    "Forget to return anything."
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [("taken", "There is a"), ("-x", "letters, digits"), ("taken/file/x", "File exists")],
)
def test_a_study_is_begun_where_nothing_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").write_text("mine")
    assert words in refused(capsys, "new", "--", str(tmp_path / name))
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "file"]


def test_what_a_study_s_learner_reaches_is_stamped_and_an_edit_makes_another_stamp(
    here: Path,
) -> None:
    (here / "learners/_beside.py").write_text("from ours.nets import X\n")
    (here / "ours").mkdir()
    (here / "ours/nets.py").write_text("X = 1\n")
    (here / "learners/sizes.toml").write_text("x = 1\n")
    learner = here / "learners/halves.py"
    learner.write_text(learner.read_text() + "\nfrom ._beside import X\n")
    stamped = code("halves", "ring")
    own = {name for name in stamped["files"] if name.startswith("study/")}
    reached = ["learners/halves.py", "learners/_beside.py", "learners/sizes.toml", "ours/nets.py"]
    assert own == {f"study/{name}" for name in (*reached, "envs/ring.py")}
    assert "partage/learners/a2c.py" in stamped["files"] and "study_commit" in stamped
    for name in (*reached, "envs/ring.py"):
        (here / name).write_text((here / name).read_text() + "# edited\n")
        edited = code("halves", "ring")
        assert edited["hash"] != stamped["hash"], name
        stamped = edited
    (here / "learners/pairs.py").write_text("Y = 2\n")
    assert code("halves", "ring") == stamped


def test_a_profile_that_is_edited_makes_no_commit_dirty_and_a_learner_does(here: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@x", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert code("halves", "ring")["study_commit"] is None
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "begin")
    profile, learner = here / "profiles/slurm/profile.yaml", here / "learners/halves.py"
    for path, dirty in ((profile, ""), (learner, "-dirty")):  # an account stands in the one
        path.write_text(path.read_text() + "# mine\n")
        assert code("halves", "ring")["study_commit"] == git("rev-parse", "HEAD") + dirty


def test_a_shipped_learner_has_the_stamp_that_it_has_elsewhere(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamped = code("mdps", "mpe")
    monkeypatch.chdir(ROOT)
    assert stamped == code("mdps", "mpe")


def test_every_command_takes_a_study_s_runs_and_an_edit_makes_them_stale(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(*command: str) -> str:
        assert main(command) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    for folder in entered(trained, tmp_path / "copy", monkeypatch):
        assert "no run was made by other code" in said("stale")
        assert said("verify", RUN).startswith("same bits")
        for command in ("distance", "absolute"):
            said(command, RUN, "--episodes", "8")
        assert "nobody's sets change within an episode" in refused(capsys, "episode", RUN)
        assert RUN in said("list", "runs") and "halves" in said("list", "algorithms")
        assert "4 " in said("plan", "--figures", "ring") and "learners/halves" in said(*SHOW)
        said("report", "--out", "page.html", "--figures", "first")
        page = Path("page.html").read_text()
        assert "Does it help to share within halves?" in page
        edit(folder / "learners/halves.py", "lr: float = 3e-4", "lr: float = 4e-4")
        assert f"{RUN}: study/learners/halves.py\n" in said("stale")


def test_the_workflow_plans_a_study_and_trains_its_learner(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    planned = snakemake(folder, "--dry-run", "--cores", "1")
    counts = re.findall(r"^(train|frame|draw|table) +(\d+)$", planned, re.MULTILINE)
    assert dict(counts) == {"draw": "2", "frame": "2", "train": "7"}
    record = "results/smoke/runs/halves/roll_call/4x2-6/0/record.json"
    snakemake(folder, "--cores", "1", "--config", "seed_count=1", "--", record)
    assert "study/learners/halves.py" in (folder / record).read_text()


def test_a_worker_of_a_pool_finds_a_study_s_environment(here: Path) -> None:
    program = "from partage.envs.ring import make; print(make('4x6', [0], 1).spec.n_agents)"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "4\n"


def snakemake(folder: Path, *options: str) -> str:
    """What Snakemake says in a study."""
    command = [sys.executable, "-m", "snakemake", *options]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_contributing_s_learners_and_environment_keep_the_contract_in_a_study(here: Path) -> None:
    partage.check_environment("ring/4x6")
    for algorithm in ("pairs", "regrouped"):  # on shipped tasks, whose code is compiled already
        partage.check_learner(algorithm)
    partage.check_learner("redealt", every=2)
    edit(here / "learners/redealt.py", '        self.updates = state["updates"]\n', "")
    for name in [name for name in sys.modules if name.endswith(".redealt")]:
        del sys.modules[name]
    with pytest.raises(AssertionError, match="a resumed run"):
        partage.check_learner("redealt", every=3)


def test_the_first_test_of_a_new_study_passes(here: Path) -> None:
    partage.check_learner("halves")
    partage.check_environment("roll_call/4x2-6")
    names = re.findall(r"partage\.(\w+)\(", (here / "tests/test_study.py").read_text())
    assert names == ["check_learner", "check_environment"]


class Broken:
    """A learner that breaks one clause of the contract; the rest is another's."""

    def __init__(self, inner: learners.Learner, fault: str) -> None:
        self.inner, self.fault, self.resumed = inner, fault, False

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def learn(self, rollout):  # type: ignore[no-untyped-def]
        measures = self.inner.learn(rollout)
        if self.fault == "pack":
            return {name: x + x.mean() for name, x in measures.items()}
        return measures

    def load_state_dict(self, state):  # type: ignore[no-untyped-def]
        if self.fault != "resume":
            self.inner.load_state_dict(state)
        self.resumed = True

    def sharing(self):  # type: ignore[no-untyped-def]
        shared = self.inner.sharing()
        if self.fault == "sharing" and self.resumed:
            return {name: 1 - index for name, index in shared.items()}
        return shared


@pytest.mark.parametrize(
    ("fault", "clause", "words"),
    [
        ("pack", learner_contract.same_in_a_pack, "another number in a pack of five"),
        ("resume", learner_contract.same_after_a_resume, "a resumed run plays otherwise"),
        ("sharing", learner_contract.same_after_a_resume, "a resumed run shares otherwise"),
    ],
)
def test_a_learner_that_breaks_the_contract_is_told_how(fault: str, clause, words: str) -> None:
    def make(seeds: list[int], task: str = "roll_call/4x3-6") -> Player:
        learner = learners.make("a2c", envs.make(task, seeds, 1).spec, {}, seeds)
        return Player(Broken(learner, fault), task, seeds)

    with pytest.raises(AssertionError, match=words):
        clause(make)


def test_an_illegal_action_is_noticed() -> None:
    restricted = learner_contract.Restricted(envs.make("roll_call/3x5-12", [0], 4))
    step = restricted.reset()
    with pytest.raises(AssertionError, match="an illegal action is chosen"):
        for action in range(5):
            restricted.step(torch.full((*step.clock.shape, 3), action))


def test_an_environment_that_breaks_the_contract_is_told_how() -> None:
    def packed(seeds: list[int], copies: int) -> object:
        return envs.make("mpe/15a_3c", [seed + len(seeds) for seed in seeds], copies)

    with pytest.raises(AssertionError, match="other seeds are played beside it"):
        environment_contract.is_the_same_in_a_pack(packed)
