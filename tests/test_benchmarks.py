"""The benchmarks run and name every target (speed is never asserted); their yardstick does the
learner's work.
"""

import re
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from small import ROOT
from torch import Tensor, nn

from partage import envs
from partage.config import plan
from partage.sims.particles.spread import NEAR
from partage.sims.particles.tasks import named

TARGETS = {
    "mpe/15a_3c, batched": "500,000",
    "lbf/15x15-4p-5f-v2, batched": "400,000",
    "QMIX learner, LBF sizes, sharing id, R=1": "42",
    "QMIX learner, LBF sizes, sharing id, R=5": "46",
    "QMIX learner, LBF sizes, sharing none, R=1": "35",
    "QMIX learner, 5m_vs_6m sizes, sharing id, R=5": "25",
    "QMIX learner, 5m_vs_6m sizes, sharing none, R=5": "18",
    "QMIX learner, 27m_vs_30m sizes, sharing id, R=1": "1.1",
    "QMIX learner, 27m_vs_30m sizes, sharing none, R=1": "1.1",
    "cost of an update, LBF sizes, bdps, R=1": "2.2",
    "cost of an update, LBF sizes, bdps, R=5": "2.2",
    "cost of an update, LBF sizes, rode, R=5": "2.5",
    "cost of an update, gradps, R=1": "1.6",
    "cost of an update, ldsa, R=5": "2.5",
    "cost of an update, roma, R=1": "3",
    "cost of an update, kaleidoscope, R=5": "1.5",
    "cost of an update, snp-ps, R=1": "1.5",
    "cost of an update, hypermarl, R=1": "1.5",
    "cost of an update, hetdps, R=5": "1.5",
    "training qmix, lbf/15x15-4p-5f-v2, R=1": "1,700",
    "training qmix, lbf/15x15-4p-5f-v2, R=5, summed": "2,000",
    "training qmix, smac/5m_vs_6m, R=5, summed": "800",
    "training bdps, lbf/15x15-4p-5f-v2, R=5, summed": "900",
    "training bdps, smac/5m_vs_6m, R=5, summed": "330",
    "training fps, mpe/15a_3c, R=5, summed": "30,000",
    "training nps, mpe/15a_3c, R=5, summed": "22,000",
    "training mdps, mpe/15a_3c, R=5, summed": "22,000",
    "replay, 27m_vs_30m sizes, mean length 60: 5,000 episodes": "24",
}


LEARNERS = {"qmix", "qmix-ns", "cds", "eoi", "rode", "bdps", "bdps-individual"} | {
    "fps",
    "fps-id",
    "nps",
    "seps",
    "mdps",
}


def test_a_quick_run_reports_every_named_target_and_the_profiles_and_writes_nothing():
    before = sorted((ROOT / "benchmarks/results").glob("*"))
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in ran.stdout.splitlines()
        if line[:1] == "|"
    ]
    found = {row[0]: row[3] for row in rows if len(row) == 7}
    for what, target in TARGETS.items():
        assert found[what].split()[1] == target, what
    assert "quick: the numbers mean nothing" in ran.stdout and torch.__version__ in ran.stdout
    trained = {name.split()[1].rstrip(",") for name in found if name.startswith("training ")}
    assert trained == LEARNERS
    assert ran.stdout.count("| part | what | self CPU time, % | calls |") == 7
    assert "partage.nn.walk.walk_backward" in profiled(ran.stdout)
    assert all(callable(resolve_name(name)) for name in profiled(ran.stdout))
    assert sorted((ROOT / "benchmarks/results").glob("*")) == before


def profiled(text: str) -> list[str]:
    """Return the functions that a page's profiles name."""
    return re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)


def test_every_function_that_a_published_profile_names_exists() -> None:
    pages = [ROOT / "docs/speed.md", *(ROOT / "benchmarks/results").glob("*.md")]
    names = [name for page in pages for name in profiled(page.read_text())]
    assert "partage.nn.walk.walk_backward" in names
    assert all(callable(resolve_name(name)) for name in names)


def test_a_published_page_is_named_after_the_processor_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.report import slug

    assert (
        slug("AMD EPYC(TM) 7763 64-Core @ 2.45GHz, 2 cores, Python")
        == "amd-epyc-7763-64-core-2.45ghz"
    )
    for page in Path(ROOT / "benchmarks/results").glob("*.md"):
        assert "/work" not in page.read_text() and "/home" not in page.read_text()


@pytest.mark.parametrize("sharing", ["id", "none"])
def test_the_yardstick_makes_the_same_updates_as_the_learner(
    monkeypatch: pytest.MonkeyPatch, sharing: Any
):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import episodes, yardstick
    from partage import learners
    from partage.learners import qmix

    spec = episodes.LBF._replace(horizon=7)
    made, plain = (
        learners.make("qmix", spec, {"sharing": sharing}, [3]),
        yardstick.Plain(spec, qmix.Settings(sharing)),
    )
    assert isinstance(made, qmix.QMIX)
    for ours, theirs in ((made.nets, plain.nets), (made.target, plain.target)):
        copy(ours, theirs)
    batch, active = episodes.batch(spec, 1, 4), torch.ones(1, dtype=torch.bool)
    for _ in range(3):
        torch.testing.assert_close(
            plain.update(batch), made.update(batch, active)["td_loss"][0], rtol=2e-4, atol=1e-6
        )


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    """The first run's banks into torch's layers."""

    def into(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias)

    agent, mixer = ours.agent, ours.mixer
    for n, other in enumerate(theirs.agents):
        into(other.encoder, agent.body.encoder.weight[0, n], agent.body.encoder.bias[0, n])
        into(other.head, agent.head.weight[0, n], agent.head.bias[0, n])
        for name, bank in (("ih", agent.body.memory.inputs), ("hh", agent.body.memory.hidden)):
            getattr(other.gru, f"weight_{name}_l0").copy_(bank.weight[0, n].T)
            getattr(other.gru, f"bias_{name}_l0").copy_(bank.bias[0, n])
    sizes = mixer.hypernetworks().parts
    first = zip(
        mixer.first.weight[0, 0].split(sizes, -1), mixer.first.bias[0, 0].split(sizes), strict=True
    )
    for layer, (weight, bias) in zip(
        (theirs.w1[0], theirs.w2[0], theirs.b1, theirs.v[0]), first, strict=True
    ):
        into(layer, weight, bias)
    for layer, bank in ((theirs.w1[2], mixer.w1), (theirs.w2[2], mixer.w2), (theirs.v[2], mixer.v)):
        into(layer, bank.weight[0, 0], bank.bias[0, 0])


def test_the_checkout_in_which_clusters_are_tested_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import naps

    planned = plan.load(naps.checkout(tmp_path / "naps", a=naps.lasting(1), b=""))
    assert [
        recipe.task for recipe in planned.recipes(planned.figures.values(), plan.Request())
    ] == ["nap/a", "nap/b"]


@pytest.mark.parametrize("name", ["15a_3c", "15a_3c_shuffle"])
def test_an_agent_has_arrived_where_it_is_near_its_landmark(
    monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import arrivals

    task, shown = named(name), envs.make(f"mpe/{name}", [0], 1000).reset()
    places = shown.state[0].view(
        1000, -1, 2
    )  # of 15 agents, then their velocities, then the landmarks
    near = (places[:, :15] - places[:, 30:][:, torch.tensor(task.colours)]).norm(dim=-1) < NEAR
    assert near.any() and torch.equal(
        arrivals.arrived(shown.obs[:, :, None], task)[0], near.float().mean(0)
    )


def test_a_replay_that_was_saved_and_resumed_in_a_fresh_process_is_the_same() -> None:
    command = [sys.executable, "-m", "benchmarks.memory", "--task", "lbf/5x5-2p-1f-v3"]
    command += ["--runs", "2", "--episodes", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 runs of 5 episodes, 0.1% of what QMIX keeps: all played at random" in done.stdout
    assert "the same bytes" in done.stdout


def test_the_picture_of_noise_is_of_what_was_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import noise

    drawn = {agents: noise.cluster(noise.equals, agents, 4) for agents in (2, 15)}
    real = {15: noise.cluster(noise.groups, 15, 4)}
    assert drawn[2].clusters == [2] * 4 and real[15].clusters == [3] * 4
    assert max(drawn[15].silhouettes) < min(real[15].silhouettes)
    shown = noise.table(drawn, 4).splitlines()
    assert shown[2] == f"| clusters of noise, mean | 2.0 | {mean(drawn[15].clusters):.1f} |"
    left, right = noise.draw(drawn, real).axes
    dots = [
        float(np.asarray(line.get_ydata())[0]) for line in left.lines if line.get_marker() == "o"
    ]
    assert dots == pytest.approx([2, mean(drawn[15].clusters), 3])
    assert len(right.lines) == len(left.lines) - 1 == 6, "a bar and a dot of each, and a line at 1"


def test_more_copies_are_measured_with_their_memory() -> None:
    command = [sys.executable, "-m", "benchmarks.large_batch", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if "8 copies, R=1 |" in line]
    held = re.search(r"; ([\d,]+) MiB at most", row)
    assert held and float(held[1].replace(",", "")) > 100, row


def test_the_pilots_that_docs_show_are_the_published_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import pilots

    assert pilots.table(pilots.PUBLISHED) in (ROOT / "docs/methods.md").read_text()
    panels = pilots.draw(pilots.PUBLISHED).axes
    for pilot, axes in zip(pilots.PILOTS, panels, strict=False):
        assert pilot.task in axes.get_title()
        assert ("simulator" in axes.get_title()) == pilot.task.startswith("smac")
        assert len(axes.lines) == (pilots.SEEDS + 1) * len(pilot.curves)


def test_pilots_without_their_runs_say_how_to_train_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import pilots

    monkeypatch.setattr(sys, "argv", ["pilots", "--results", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        pilots.main()
    assert ended.value.code == 2 and "add --train" in capsys.readouterr().err
