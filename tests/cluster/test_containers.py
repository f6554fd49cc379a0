"""Images built and used for real: ``make test-containers``. Needs root, Apptainer, mmdebstrap
(containers/debian.sh).

The base stands for the one of a public registry: a bootstrapped Debian, into which those packages
of this environment are linked that the suite needs, so that no test downloads torch. A folder in
PARTAGE_TEST_BASE is taken as it is.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from small import ROOT

from benchmarks import naps, slurm
from partage.config.pins import pins

LACKING = [name for name in ("apptainer", "mmdebstrap") if not shutil.which(name)]
WHY = (
    "building a base needs root"
    if os.geteuid()
    else f"no {', '.join(LACKING)} (containers/debian.sh)"
    if LACKING
    else ""
)
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY or "it can run")
TASKS = {"lbf": "5x5-2p-1f-v3", "mpe": "15a_3c"}
WHEELS = os.environ.get("FOOTBALL_WHEELS", "")  # football takes minutes to compile
if (ROOT / "envs/grf.py").exists() and WHEELS:
    TASKS["grf"] = "academy_3_vs_1_with_keeper"
if few := os.environ.get("PARTAGE_TEST_FAMILIES"):  # CI is content with one
    TASKS = {family: TASKS[family] for family in few.split()}
FAMILY = """
[{family}]
steps = {{ smoke = 800, lab = 800, paper = 800 }}
seeds = 1
log_every = 400
test_every = 0
test_episodes = 0
time_limit = "truncation"
facts.agents = 2
[{family}.task."{task}"]
label = "{task}"
"""


def needed(names: list[str]) -> set[str]:
    """These packages and all that they ask for themselves."""
    todo, found = list(names), set()
    while todo:
        name = Requirement(todo.pop()).name.lower().replace("_", "-")
        if name not in found:
            with suppress(importlib.metadata.PackageNotFoundError):
                asked = [Requirement(line) for line in importlib.metadata.requires(name) or []]
                todo += [
                    each.name
                    for each in asked
                    if not each.marker or each.marker.evaluate({"extra": ""})
                ]
                found.add(name)
    return found


def works(*command: str) -> None:
    """Run it; skip what rests on it where this machine does not let it work (mounts, user
    namespaces).
    """
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        pytest.skip(
            f"{command[0]} does not work on this machine: {ran.stderr.strip().splitlines()[-1:]}"
        )


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    if given := os.environ.get("PARTAGE_TEST_BASE"):
        return Path(given)
    folder = tmp_path_factory.mktemp("base") / "debian"
    make = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--include=python3,python3-venv,ca-certificates",
        "bookworm",
    ]
    works(*make, str(folder))
    for place in ("dev", "proc", "sys"):
        shutil.rmtree(folder / place)
        (folder / place).mkdir()
    works("apptainer", "exec", "--fakeroot", str(folder), "true")
    subprocess.run(["chroot", str(folder), "python3", "-m", "venv", "/opt/partage"], check=True)
    site = folder / "opt/partage/lib/python3.11/site-packages"
    project = (ROOT / "pyproject.toml").read_text()
    for name in sorted(needed(tomllib.loads(project)["project"]["dependencies"])):
        for file in importlib.metadata.files(name) or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError, FileExistsError):
                    linked(Path(str(file.locate())), site / file)
    return folder


def linked(path: Path, to: Path) -> None:
    try:
        to.hardlink_to(path)
    except FileExistsError:
        raise
    except OSError:  # another file system
        shutil.copy2(path, to)


@pytest.fixture(scope="module")
def options(base: Path) -> Iterator[str]:
    """Of `apptainer build`: the base from a folder, rootless, fast rather than small."""
    binds = ["/etc/ssl/certs:/etc/ssl/certs:ro", *([f"{WHEELS}:/wheels:ro"] if WHEELS else [])]
    words = ["--fakeroot", *(f"--bind={bind}" for bind in binds)]
    words += ["--build-arg=BOOTSTRAP=localimage", f"--build-arg=BASE={base}"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("APPTAINER_BUILD", " ".join(words))
        patched.setenv("APPTAINER_MKSQUASHFS_ARGS", "-noD -noF -noI")
        yield " ".join(words)


def sheets(root: Path) -> Path:
    """A checkout in which each family has one run of a few steps."""
    naps.checkout(root, unused="")
    config = root / "src/partage/config/sheets"
    tasks = [f"{family}/{task}" for family, task in TASKS.items()]
    (config / "tasks.toml").write_text(
        "".join(FAMILY.format(family=family, task=task) for family, task in TASKS.items())
    )
    (config / "figures.toml").write_text(naps.FIGURE.format(tasks=tasks))
    (config / "tables.toml").write_text(naps.TABLE.format(tasks=tasks))
    return root


@pytest.fixture(scope="module")
def made(options: str, tmp_path_factory) -> Path:
    """Images, runs of the simulators' own packages in them, figure: all by one command."""
    root = sheets(tmp_path_factory.mktemp("contained"))
    naps.ended(root, naps.snakemake(root, *COMMAND, "--cores", "2"), 1800)
    return root


COMMAND = ["--software-deployment-method", "apptainer", "--config", "engine=package"]


def folder(root: Path, family: str) -> Path:
    return root / "results/smoke-package/runs/fps" / family / TASKS[family] / "0"


@pytest.mark.parametrize("family", TASKS)
def test_a_run_is_trained_in_its_family_s_image_and_its_record_has_the_digest(
    made: Path, family: str
):
    record = json.loads((folder(made, family) / "record.json").read_text())
    image = made / f"images/{family}.sif"
    assert record["image"] == {
        "name": image.name,
        "digest": f"sha256:{sha256(image.read_bytes()).hexdigest()}",
    }
    versions = pins(ROOT / f"envs/{family}.py")
    assert versions and record["versions"].items() >= versions.items()
    assert not record["versions"]["python"].startswith("3.11.7")  # Debian's, not this environment's


def test_figures_are_drawn_in_the_core_image(made: Path):
    assert (made / "results/smoke-package/figures/naps.png").stat().st_size > 0
    with pytest.raises(subprocess.CalledProcessError):
        inside(made / "images/core.sif", "python", "-c", "import lbforaging")


def inside(image: Path, *command: str, options: tuple[str, ...] = ()) -> str:
    ran = ["apptainer", "exec", *options, str(image), *command]
    return subprocess.run(ran, check=True, capture_output=True, text=True).stdout


def test_an_image_that_is_built_anew_retrains_nothing(made: Path):
    (made / "images/lbf.sif").touch()
    (made / "said.txt").unlink()
    assert "Nothing to be done" in naps.ended(
        made, naps.snakemake(made, *COMMAND, "--cores", "1", "--dry-run"), 120
    )


def test_images_are_used_on_a_cluster(made: Path, tmp_path: Path):
    if why := slurm.missing():
        pytest.skip(why)
    for family in TASKS:
        shutil.rmtree(folder(made, family))
    with slurm.cluster(tmp_path):
        quick = [
            "--slurm-init-seconds-before-status-checks",
            "3",
            "--set-resources",
            "train:mem_mb=500",
        ]
        # The toy calibration knows no task, so that the most hours are asked for.
        config = [*COMMAND, "job_hours=1"]
        naps.ended(
            made,
            naps.snakemake(made, "--workflow-profile", "profiles/slurm", *quick, *config),
            600,
        )
    for family in TASKS:
        assert (
            json.loads((folder(made, family) / "record.json").read_text())["image"]["name"]
            == f"{family}.sif"
        )


def test_the_game_is_taken_from_an_archive_and_its_maps_beside_it(options: str, tmp_path: Path):
    """A stand-in: what Blizzard's archive looks like, with a program that only says its name."""
    with zipfile.ZipFile(tmp_path / "SC2.4.10.zip", "w") as archive:
        archive.writestr("StarCraftII/Versions/Base75689/SC2_x64", "#!/bin/sh\necho stand-in\n")
        archive.writestr("StarCraftII/Battle.net/large", "not needed")
    with zipfile.ZipFile(tmp_path / "SMAC_Maps.zip", "w") as archive:
        archive.writestr("SMAC_Maps/3m.SC2Map", "a map")
    root = naps.checkout(tmp_path / "checkout", unused="")
    (root / "envs/smac.py").write_text('# /// script\n# dependencies = ["mpyq==0.2.5"]\n# ///\n')
    image = tmp_path / "smac.sif"
    subprocess.run(
        [root / "containers/build.sh", "smac", image, f"--bind={tmp_path}:/game"],
        check=True,
        cwd=root,
    )
    assert inside(image, "/opt/StarCraftII/Versions/Base75689/SC2_x64") == "stand-in\n"
    listed = inside(image, "find", "/opt/StarCraftII", "-type", "f").split()
    assert sorted(Path(path).name for path in listed) == ["3m.SC2Map", "SC2_x64"]
    assert inside(image, "sh", "-c", "echo $SC2PATH") == "/opt/StarCraftII\n"
    other = tmp_path / "StarCraftII"
    (other / "Versions").mkdir(parents=True)
    bound = inside(image, "ls", "/opt/StarCraftII", options=(f"--bind={other}:/opt/StarCraftII",))
    assert bound == "Versions\n"
