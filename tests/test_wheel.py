"""An installed wheel does all that a checkout does: nothing that is not a module is left behind."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from small import ROOT

from partage.config import plan
from partage.config.recipe import Recipe, run_dir
from partage.runs.code_comparison import shorten

pytestmark = pytest.mark.xdist_group("wheel")  # what the tests share is made once

SOURCES = ("src", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "results/published")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
NEEDS_A_GAME = {"grf"}  # an engine of its own; starcraft has a simulator here as well
FIGURE = "mpd-15a_3c"
PUBLISHED = "smac-learning"
LAB = ("--scale", "lab", "--seed-count", "3")  # as it was published


def run(*command: object, cwd: Path) -> str:
    """Run a command in a folder, without this checkout on its path; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PIP_NO_CACHE_DIR"] = "1"  # the home may be read-only
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that is built from a source archive, which is built from a copy of the files.

    So neither what was built here before nor what lies beside the files can be in it.
    """
    place = tmp_path_factory.mktemp("build")
    copy = place / "copy"
    copy.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "runs", "lab", "critic-4")
    for name in SOURCES:
        if name == "src":
            shutil.copytree(
                ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        elif (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, copy / name)
    run(sys.executable, "-c", BUILD, place, cwd=copy)
    (archive,) = place.glob("*.tar.gz")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", place]
    run(sys.executable, "-m", "pip", "wheel", *options, archive, cwd=place)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of a new environment that has the wheel, and sees installed packages.

    A .pth file names the folder of those. Files of its own in there, of which one brings this
    checkout, count for nothing.
    """
    place = tmp_path_factory.mktemp("env")
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    interpreter = place / "bin/python"
    options = ["--no-deps", "--no-index", "--quiet"]
    run(sys.executable, "-m", "pip", "--python", interpreter, "install", *options, wheel, cwd=place)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    packages = place / "lib" / version / "site-packages"
    (packages / "of_the_tests.pth").write_text("\n".join(sorted(installed)) + "\n")
    take_what_is_compiled(packages / "partage")
    return interpreter


def take_what_is_compiled(package: Path) -> None:
    """Lay what this checkout has compiled beside the installed files that are the same.

    Numba knows a source file by its size and its time, our code by what stands in all of them.
    """
    for file in package.rglob("*.py"):
        here = ROOT / "src/partage" / file.relative_to(package)
        if here.read_bytes() == file.read_bytes():
            os.utime(file, ns=(here.stat().st_atime_ns, here.stat().st_mtime_ns))
    for index in (ROOT / "src/partage").rglob("__pycache__/*.nb[ci]"):
        folder = package / index.relative_to(ROOT / "src/partage").parent
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(index, folder)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder with published runs where the command line looks for them."""
    shutil.copytree(ROOT / "results/published/lab/runs", tmp_path / "results/lab/runs")
    return tmp_path


def test_the_wheel_holds_every_file_of_the_package(wheel: Path):
    package = ROOT / "src"
    workflow = package / "partage/config/workflow"  # a link, which rglob does not follow
    parts = (workflow.glob(kind) for kind in ("Snakefile", "rules/*", "profiles/*/*"))
    here = {
        path.relative_to(package).as_posix()
        for path in chain((package / "partage").rglob("*"), *parts)
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = set(zipfile.ZipFile(wheel).namelist())
    assert here <= held, sorted(here - held)
    assert not [name for name in held - here if ".dist-info/" not in name]


def test_the_package_is_the_installed_one(python: Path, tmp_path: Path):
    where = run(python, "-c", "import partage; print(partage.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(python.parents[1])


def test_every_family_that_needs_no_game_makes_a_task(python: Path, tmp_path: Path):
    tasks = {name.partition("/")[0]: name for name in plan.load().tasks}
    families = {path.stem for path in (ROOT / "src/partage/envs").glob("[!_]*.py")}
    assert families == tasks.keys()
    program = (
        "import sys\n"
        "from partage.config import plan\n"
        "from partage.envs import make\n"
        "tasks = plan.load().tasks\n"
        "for name in sys.argv[1:]:\n"
        "    options = tasks[name].options if name in tasks else {}\n"
        "    env = make(name, [0], 2, **options)\n"
        "    env.reset()\n"
        "    print(name, env.spec.n_agents)\n"
        "    env.close()\n"
    )
    names = [tasks[family] for family in sorted(families - NEEDS_A_GAME)]
    made = run(python, "-c", program, *names, cwd=tmp_path)
    assert [line.split()[0] for line in made.splitlines()] == names


def test_it_plans_and_trains(python: Path, tmp_path: Path):
    assert FIGURE in run(python, "-m", "partage", "plan", "--write", cwd=tmp_path)
    written = tmp_path / "results/smoke/runs/fps/mpe/15a_3c"
    recipe = shorten(Recipe.load(next(written.glob("*/recipe.json"))), 400)
    folder = run_dir(tmp_path / "short", recipe)
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(recipe.text())
    run(python, "-m", "partage", "train", folder / "recipe.json", cwd=tmp_path)
    assert (folder / "curve.parquet").is_file() and (folder / "policy.pt").is_file()


def test_it_draws_a_figure_and_writes_the_report(python: Path, outside: Path):
    for command in ("frame", "draw"):
        run(python, "-m", "partage", command, PUBLISHED, *LAB, cwd=outside)
    for kind in ("png", "svg", "pdf"):
        assert (outside / f"results/lab/figures/{PUBLISHED}.{kind}").stat().st_size > 1000
    run(python, "-m", "partage", "report", "--figures", PUBLISHED, *LAB, cwd=outside)
    page = (outside / "results/lab/report.html").read_text()
    caption = ROOT / f"src/partage/report/captions/{PUBLISHED}.rst"
    assert caption.read_text().partition(".")[0] in page


def test_pettingzoo_plays_its_tasks(python: Path, tmp_path: Path):
    pytest.importorskip("pettingzoo")
    program = (
        "from partage.wrappers.pettingzoo import ParallelTask\n"
        "env = ParallelTask('lbf/5x5-2p-1f-v3', seed=3)\n"
        "seen, _ = env.reset()\n"
        "play = {a: env.action_space(a).sample(mask=seen[a]['action_mask']) for a in env.agents}\n"
        "print(len(env.step(play)[0]))\n"
    )
    assert run(python, "-c", program, cwd=tmp_path).strip() == "2"


def test_it_begins_a_study_and_its_workflow_plans_there(python: Path, tmp_path: Path):
    pytest.importorskip("snakemake")
    run(python, "-m", "partage", "new", "my-study", cwd=tmp_path)
    study = tmp_path / "my-study"
    assert "first" in run(python, "-m", "partage", "plan", cwd=study)
    planned = run(python, "-m", "snakemake", "--dry-run", cwd=study)
    assert "train" in planned and "halves" in planned
