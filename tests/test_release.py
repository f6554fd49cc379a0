"""What the field's catalogues and archives read in this repository."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from small import ROOT

import partage
from partage.config import plan

MODULE = """
module partage:
    snakefile: {snakefile!r}
    config: {{"figures": "mpd-15a_3c", "scale": "lab", "seed_count": 2}}

use rule * from partage as partage_*

rule ours:
    default_target: True
    input: rules.partage_all.input
"""


def test_the_version_is_one_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == partage.__version__
    assert json.loads((ROOT / "codemeta.json").read_text())["version"] == partage.__version__
    assert f"\nversion: {partage.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_what_the_workflow_catalogue_looks_for_is_there() -> None:
    assert (ROOT / "workflow/Snakefile").is_file() and not (
        ROOT / "workflow/Snakefile"
    ).is_symlink()
    assert all(path.suffix == ".smk" for path in (ROOT / "workflow/rules").iterdir())
    assert (ROOT / ".snakemake-workflow-catalog.yml").read_text().startswith("usage:\n")
    explained = (ROOT / "config/README.md").read_text()
    for key in plan.Request.__dataclass_fields__:
        assert f"| `{key}` |" in explained, key


def test_another_repository_takes_the_rules_as_a_module(tmp_path: Path) -> None:
    snakefile = str(ROOT / "workflow/Snakefile")
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--printshellcmds"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    assert "rule partage_train:" in said and "results/lab/runs/mdps/mpe/15a_3c/0-1" in said
    # Snakemake starts no module's `onstart`, so that each job writes its recipe
    assert "partage plan --write --figures mpd-15a_3c --scale lab" in said
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == ["Snakefile"]


def test_what_a_codecheck_looks_at_is_drawn_by_the_plan() -> None:
    text = (ROOT / "codecheck.yml").read_text()
    for line in text.splitlines():
        if line.startswith("  - file: results/smoke/figures/"):
            assert Path(line).stem in plan.load().figures
