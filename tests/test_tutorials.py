"""What the tutorials have a reader write does what they say."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import torch
from small import ROOT

from partage.config import figures, plan
from partage.config.schema import strict
from partage.sims.contract import Spec

TUTORIAL = ROOT / "docs/tutorial"


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of code of one language on a page."""
    text = (TUTORIAL / page).read_text(encoding="utf-8")
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", text)


def test_measuring_agents_finds_the_two_groups_and_the_better_algorithm(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks("measure.md", "python"))],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "[0 0 0 3 3 3] [(1, 0), " in ran.stdout
    last = ran.stdout.splitlines()[-2:]
    assert [line.split()[1] for line in last] == ["theirs", "mine"]
    assert last[1].endswith(" 1.0")


def test_the_method_s_learner_shares_as_its_page_says() -> None:
    (code,) = blocks("method.md", "python")
    names: dict = {"__name__": "ends"}
    exec(compile(code, "ends.py", "exec"), names)
    sizes = {"n_agents": 5, "n_actions": 3, "obs_dim": 4, "state_dim": 20, "horizon": 10}
    spec = Spec(**sizes, common_reward=False, state_is_obs=True)
    made = names["make"](spec, names["Settings"](), [0, 1], torch.device("cpu"))
    for of_block in made.sharing().values():
        assert of_block.tolist() == [[0, 1, 1, 1, 2]] * 2


def test_the_method_s_sheets_are_such_as_the_schema_takes() -> None:
    eager, ends, drawn = (tomllib.loads(text) for text in blocks("method.md", "toml"))
    known = plan.load()
    assert eager["mdps-eager"]["like"] in known.variants
    assert ends["ends"]["learner"] == "ends"
    figure = drawn["mine"]
    strict(figure, figures.NEEDED | figures.OPTIONAL, "the tutorial", figures.NEEDED)
    assert set(figure["tasks"]) <= known.tasks.keys()
    assert set(figure["algorithms"]) <= {*known.variants, *ends}
