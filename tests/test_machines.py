"""Runs, pictures and caches on machines, and in environments, that are not this one."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from running import recipe, trained
from small import ROOT, workflow
from test_workflow import STAND_IN

from partage import _jit
from partage.config import cores
from partage.errors import UserError
from partage.runs import gpus, machine, record, verify

pytestmark = pytest.mark.xdist_group("machines")  # what the tests share is made once

# What another system has not, or tells nothing of.
LINUX_ALONE = ("sched_getaffinity", "memfd_create")


def python(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, in this environment but for what is given."""
    around = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
    around |= {name: value for name, value in environment.items() if value is not None}
    for name in [name for name, value in environment.items() if value is None]:
        around.pop(name, None)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=around)


def test_a_run_ends_well_where_there_is_nothing_of_linux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in LINUX_ALONE:
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", unknown)
    trained(tmp_path / "run", recipe("a2c", steps=200))
    made = record.read(tmp_path / "run")[1]
    assert made["machine"]["cores"] == os.cpu_count() and made["machine"]["memory_gib"] is None
    assert made["machine"]["cpu"]
    assert cores.available_cores() == os.cpu_count()


def test_a_mac_without_its_command_still_has_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.platform, "system", lambda: machine.MAC)
    monkeypatch.setenv("PATH", "/nowhere")
    assert machine.cpu_model()


PRODUCTS = """
import json, torch
from partage.kernels import gemm
from partage.nn.dense import Layer, apply_layers, apply_layers_torch
torch.manual_seed(0)
def layer(inputs, outputs):
    sets = torch.arange(3).repeat(2, 1)
    return Layer(torch.randn(2, 3, inputs, outputs), torch.randn(2, 3, 1, outputs), sets)
layers, rows = [layer(37, 64), layer(64, 21), layer(21, 5)], torch.randn(2, 3, 1, 19, 37)
ours, theirs = apply_layers(rows, layers), apply_layers_torch(rows, layers)
print(json.dumps([*gemm.REGISTERS, float((ours - theirs).abs().max() / theirs.abs().max())]))
"""


@pytest.mark.parametrize(
    ("features", "lanes", "fused"),
    [("+sse2", 4, False), ("+avx", 8, False), ("+avx2,+fma", 8, True)],
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the features are those of x86")
def test_products_are_fused_only_where_the_cpu_fuses_and_right_everywhere(
    tmp_path: Path, features: str, lanes: int, fused: bool
) -> None:
    told = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features}
    done = python(PRODUCTS, NUMBA_CACHE_DIR=str(tmp_path), **told)
    assert done.returncode == 0, done.stderr
    *registers, apart = json.loads(done.stdout)
    assert registers == [lanes, fused] and apart < 1e-5


def test_verify_names_other_vector_instructions_and_is_silent_about_old_records() -> None:
    then = {"code": {"files": {}}, "vectors": {"torch": "AVX2", "kernels": "8 lanes"}}
    now = {"code": {"files": {}}, "vectors": {"torch": "AVX512", "kernels": "8 lanes"}}
    assert verify.elsewhere(then, then) == []
    told = verify.elsewhere(then, now)
    assert told == ["other vector instructions (torch AVX2, here AVX512)"]
    chosen = {**then, "vectors": {**then["vectors"], "ATEN_CPU_CAPABILITY": "avx2"}}
    assert "ATEN_CPU_CAPABILITY unset, here avx2" in verify.elsewhere(then, chosen)[0]
    assert verify.elsewhere({"code": {"files": {}}}, now) == []


def test_a_record_says_which_vector_instructions_computed(tmp_path: Path) -> None:
    trained(tmp_path, recipe("a2c", steps=200))
    vectors = record.read(tmp_path)[1]["vectors"]
    assert "lanes" in vectors["kernels"] and vectors["torch"]


PICTURES = """
import hashlib, tempfile
from pathlib import Path
THEIRS
from partage.plots import curves, files, profiles
from small import finish, small_plan
from partage.analysis import frames
from partage.config.plan import Request
root = Path(tempfile.mkdtemp())
plan = small_plan(root)
figure = plan.figures["first"]
recipes = plan.recipes([figure], Request())
finish(recipes, root)
frame = frames.build(figure, recipes, root)
for canvas in (curves.draw(plan, figure, frame), profiles.draw(plan, figure, frame)):
    for kind in ("png", "svg", "pdf"):
        print(hashlib.sha256(files.picture_bytes(canvas, kind)).hexdigest())
"""
THEME = """
import matplotlib, seaborn
seaborn.set_theme(context="poster", style="darkgrid", palette="husl", color_codes=True)
matplotlib.rcParams["lines.marker"] = "o"
before = dict(matplotlib.rcParams)
import atexit
def unchanged():
    assert dict(matplotlib.rcParams) == before
    print("theirs again")
atexit.register(unchanged)
"""
MATPLOTLIBRC = """
backend: TkAgg
text.usetex: True
lines.marker: o
font.size: 22
font.family: serif
axes.prop_cycle: cycler('color', ['r', 'g'])
savefig.bbox: tight
savefig.transparent: True
figure.constrained_layout.use: True
svg.fonttype: none
path.sketch: 1, 100, 2
pdf.compression: 0
"""


def pictures(theirs: str = "", **environment: str | None) -> list[str]:
    done = python(PICTURES.replace("THEIRS", theirs), **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_no_setting_of_the_users_changes_a_byte_of_a_picture(tmp_path: Path) -> None:
    plain = pictures(MPLBACKEND=None, MATPLOTLIBRC=None)
    assert len(plain) == 6
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    (tmp_path / "broken").write_bytes(b"font.size: \xe4\xff\n")
    file = str(tmp_path / "matplotlibrc")
    assert pictures(MATPLOTLIBRC=file, MPLBACKEND="module://not.there") == plain
    assert pictures(MATPLOTLIBRC=str(tmp_path / "broken"), MPLBACKEND="nonsense") == plain
    assert pictures(THEME) == [*plain, "theirs again"]


def test_only_the_drawing_side_imports_matplotlib_which_takes_any_setting_of_the_users() -> None:
    drawing = ROOT / "src/partage/plots"
    for path in sorted((ROOT / "src/partage").rglob("*.py")):
        imports = re.search(r"^\s*(import|from) matplotlib", path.read_text(), re.MULTILINE)
        assert path.is_relative_to(drawing) or not imports, path
    done = python("from partage.report import build", MPLBACKEND="nonsense")
    assert done.returncode == 0, done.stderr


ODD = "a b 'c' ü $HOME {d} (e) & -f"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("odd") / ODD)


def checkout(root: Path) -> Path:
    """Make a small checkout, with a Python in it."""
    workflow(root)
    stand_in = root / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable, tests=str(ROOT / "tests")))
    stand_in.chmod(0o755)
    return root


def snakemake(root: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow of a checkout from its root, as a user would whose settings these are."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *options]
    around = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, env=around | environment
    )


def test_the_workflow_runs_in_any_folder_and_without_a_home(odd: Path) -> None:
    nowhere = {"HOME": "/proc/nobody", "XDG_CACHE_HOME": "/proc/nobody", "LC_ALL": "C"}
    ran = snakemake(odd, "--config", f"python={odd / 'python'}", **nowhere)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert (odd / "results/smoke/figures/first.png").is_file()
    page = snakemake(odd, "report", "--config", f"python={odd / 'python'}", **nowhere)
    assert page.returncode == 0, page.stderr + page.stdout


def test_a_checkout_in_such_a_folder_is_worked_on_from_another(tmp_path: Path) -> None:
    odd = checkout(tmp_path / ODD.replace("{d}", ""))  # in names of inputs braces are Snakemake's
    profile = odd / "workflow/profiles/default"
    options = ["--snakefile", str(odd / "Snakefile"), "--workflow-profile", str(profile)]
    ran = snakemake(tmp_path, *options, "--config", f"python={odd / 'python'}")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert (tmp_path / "results/smoke/figures/first.png").is_file()


KEPT = """
import sys
import tempfile
from partage import _jit

@_jit.compiler("same")
def double(x):
    return 2 * x

print(double(21), sum(double.stats.cache_hits.values()))
"""


def kept(folder: Path) -> subprocess.CompletedProcess[str]:
    """Compile where neither the user's cache nor the folder of the source can be written."""
    (folder / "__pycache__").touch()
    script = folder / "kept.py"
    script.write_text(KEPT)
    around = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    around |= {"HOME": "/proc/nobody", "XDG_CACHE_HOME": "/proc/nobody"}
    around |= {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder)}
    command = [sys.executable, str(script)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=around)


def test_without_a_home_and_beside_a_read_only_package_compiled_code_is_kept(
    tmp_path: Path,
) -> None:
    assert [kept(tmp_path).stdout, kept(tmp_path).stdout] == ["42 0\n", "42 1\n"]
    (folder,) = tmp_path.glob("partage-numba-*")
    assert folder.stat().st_mode & 0o077 == 0


def test_compiled_code_of_a_folder_that_others_can_write_is_never_run(tmp_path: Path) -> None:
    folder = tmp_path / f"partage-numba-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    done = kept(tmp_path)
    assert done.stdout == "42 0\n" and "NUMBA_CACHE_DIR" in done.stderr
    assert list(folder.iterdir()) == []


def test_code_has_the_same_hash_whatever_a_clone_made_of_its_lines_ends(tmp_path: Path) -> None:
    files = {"learners/one.py": "x = 1\n", "envs/two.py": "y = 2\n", "runs/train.py": "z = 3\n"}
    stamps = []
    for ends in ("\n", "\r\n"):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(text.replace("\n", ends).encode())
        digest = _jit.digest(tmp_path.rglob("*.py"))
        stamps.append((record.code("one", "two", tmp_path)["hash"], digest))
    assert stamps[0] == stamps[1]


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_a_clone_under_windows_settings_has_the_same_files(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", *words], check=True, capture_output=True, cwd=tmp_path)

    git("init", "--quiet", "here")
    for name in (".gitattributes", "Makefile", "containers/build.sh", "docs/report.png"):
        target = tmp_path / "here" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    git("-C", "here", "add", "--all")
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    git("-C", "here", *who, "commit", "--quiet", "--message", "x")
    git("-c", "core.autocrlf=true", "clone", "--quiet", "here", "there")
    for name in ("Makefile", "containers/build.sh", "docs/report.png"):
        assert (tmp_path / "there" / name).read_bytes() == (ROOT / name).read_bytes()


def test_no_script_is_started_by_a_path_in_its_first_line() -> None:
    recipes = [line for line in (ROOT / "Makefile").read_text().splitlines() if line[:1] == "\t"]
    assert recipes and not [line for line in recipes if re.search(r"\.venv/bin/(?!python\b)", line)]


def test_gpus_that_cannot_be_noted_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"partage-gpus-{os.getuid()}").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UserError, match="TMPDIR"):
        gpus.claim(["0"], 1)


def test_a_letter_that_a_terminal_lacks_ends_no_command() -> None:
    code = "from partage.cli.parser import main; main(['plan']); print('\\u00fc')"
    done = python(code, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and done.stdout.endswith("\\xfc\n"), done.stderr
