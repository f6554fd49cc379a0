"""What is installed in an image stands in pyproject.toml and in the headers of envs/, and nowhere
else.
"""

import runpy
import tomllib
from pathlib import Path

import pytest
from small import ROOT

from partage.config.pins import pins

PINS = runpy.run_path(str(ROOT / "containers/pins.py"))
CONSTRAINED = ["--constraint", "requirements.lock"]


def test_core_is_what_the_suite_depends_on():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert PINS["wanted"]("core") == [*CONSTRAINED, *project["dependencies"]]


@pytest.mark.parametrize("family", ["lbf", "mpe"])
def test_a_family_is_what_its_header_pins(family: str):
    wanted = PINS["wanted"](family)
    assert wanted[:2] == CONSTRAINED
    assert dict(pin.split("==") for pin in wanted[2:]) == pins(ROOT / f"envs/{family}.py")


def test_a_family_without_packages_installs_nothing():
    assert PINS["wanted"]("roll_call") == []


def test_a_header_may_say_that_its_list_is_complete(tmp_path: Path):
    folder = tmp_path / "src/partage/envs"
    folder.mkdir(parents=True)
    head = (
        '# /// script\n# dependencies = ["a==1", "b @ git+https://b"]\n'
        "# [tool.partage]\n# no-deps = true\n# ///\n"
    )
    (folder / "odd.py").write_text(head)
    assert PINS["wanted"]("odd", tmp_path) == ["--no-deps", "a==1", "b @ git+https://b"]


def test_neither_recipe_names_a_package_or_a_version():
    for name in ("image.def", "Containerfile", "install.sh"):
        assert "==" not in (ROOT / "containers" / name).read_text()


def test_what_the_gpu_needs_keeps_numpy_below_the_one_that_numba_cuda_cannot_load():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    numba_cuda, numpy = extras["cuda"]
    assert numba_cuda.startswith("numba-cuda[cu13]==") and numpy == "numpy<2.5"
