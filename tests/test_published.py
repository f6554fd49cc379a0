"""What was published is drawn anew from its runs, each checked, and nothing published changes."""

import hashlib
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from small import ROOT

from partage.__main__ import main
from partage.config import plan
from partage.errors import UserError
from partage.report import not_run, published

PUBLISHED = ROOT / "results/published"
FIGURE = "mpe-learning"
RUN = "runs/qmix/mpe/simple_spread_v3/0-2"

pytestmark = pytest.mark.xdist_group("published")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one published figure and its run."""
    for name in (FIGURE, RUN):
        shutil.copytree(PUBLISHED / "lab" / name, tmp_path / "published/lab" / name)
    return tmp_path / "published"


def contents(folder: Path) -> dict[str, str]:
    """The hash of each file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_published_figure_is_that_of_its_runs():
    found = published.find(plan.load(), PUBLISHED)
    names = {path.parent.name for path in PUBLISHED.rglob("*.parquet") if "runs" not in path.parts}
    assert {one.part.figure.name for one in found} == names
    assert len({one.name for one in found}) == len(found) == len(list(PUBLISHED.rglob("*.svg")))
    former = [one.is_former for one in found]
    assert former == sorted(former) and any(former) and not all(former)
    assert found[0].collection.name == "paper"
    for one in found:
        if one.is_former:  # today's caption is of what is trained today
            caption = Path(one.part.figure.caption)
            assert caption.is_relative_to(PUBLISHED / one.collection) and caption.is_file()


def test_redrawing_trains_nothing_changes_nothing_and_ends_with_the_page(
    folder: Path, tmp_path: Path, capsys
):
    (folder / "former").mkdir()
    shutil.copytree(folder / "lab", folder / "former/left")
    before, out = contents(folder), tmp_path / "show"
    assert main(["redraw", str(folder), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(out / "report.html")
    assert contents(folder) == before
    for name in ("lab", "former/left"):
        assert (out / name / f"{FIGURE}.png").stat().st_size > 10_000
    text = (out / "report.html").read_text()
    assert text.count("Former settings:") == 1 and "(former: left)" in text
    assert f'id="lab-{FIGURE}"' in text and f'id="left-{FIGURE}"' in text
    assert "6 of 6 cells" in text or "3 of 3 cells" in text


def test_a_former_figure_has_the_words_that_its_folder_brings(folder: Path, tmp_path: Path):
    (folder / "former").mkdir()
    shutil.copytree(folder / "lab", folder / "former/left")
    today = plan.load()
    said = published.render(published.find(today, folder), folder)
    caption = "Greedy test return of what was trained then."
    assert said.count(title := today.figures[FIGURE].title) and caption not in said
    left = folder / "former/left"
    (left / "captions").mkdir()
    (left / "captions" / f"{FIGURE}.rst").write_text(caption)
    words = f'[{FIGURE}]\ntitle = "What was"\nlabels.qmix = "QMIX, as it was"\n'
    (left / "words.toml").write_text(words)
    former = published.render(published.find(today, folder)[-1:], folder)
    assert caption in former and "What was (former: left)" in former and title not in former
    assert "QMIX, as it was" in former
    both = published.render(published.find(today, folder), folder)
    assert title in both  # the other one says what it says today


def test_claims_of_what_is_not_published_are_not_run_and_say_what_they_would_take(folder: Path):
    today = plan.load()
    waiting = list(not_run.rows(today, ["mpd-fig2", "mpd-15a_3c"]))
    claimed = {name for name, figure in today.figures.items() if figure.claims}
    assert {row.figure for row in waiting} == claimed - {"mpd-fig2", "mpd-15a_3c"}
    (first, *_) = [row for row in waiting if row.figure == "mpd-fig3"]
    prices = re.fullmatch(r"would take (.*) \(paper\) or (.*) \(lab\)", first.cpu_hours)
    assert prices and float(prices[1]) > float(prices[2]) > 0
    (arena,) = [row for row in waiting if row.figure == "arena-lbf"]
    assert arena.cpu_hours == "not known before its sweep" or "would take" in arena.cpu_hours
    said = published.render(published.find(today, folder), folder)
    assert first.cpu_hours in said and 'href="#mpd-fig3"' not in said
    assert f'href="#lab-{FIGURE}"' in said


def test_a_claim_judged_by_former_runs_alone_is_not_run_today(tmp_path: Path):
    here = tmp_path / "published/former"
    shutil.copytree(PUBLISHED / "former/critics-apart", here / "critics-apart")
    today = plan.load()
    found = published.find(today, tmp_path / "published")
    says = today.figures["mpd-fig3"].claims[0].says
    assert published.render(found, tmp_path / "published").count(says) > 1


def test_a_former_figure_without_a_caption_of_its_own_has_none(folder: Path):
    folder.rename(folder.parent / "former")
    (one,) = published.find(plan.load(), folder.parent)
    assert one.is_former and one.part.figure.caption == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("[mpe-learnin]", "did you mean 'mpe-learning'"),
        (f'[{FIGURE}]\nlabels.qmx = "Q"', "did you mean 'qmix'"),
        (f"[{FIGURE}]\ntitle = 3", "'title' should be a text"),
        (f"[{FIGURE}", "words.toml"),
    ],
)
def test_words_that_name_what_there_is_not_are_refused(words: str, said: str, folder: Path):
    folder.rename(folder.parent / "former")
    (folder.parent / "former/lab/words.toml").write_text(words)
    with pytest.raises(UserError, match=said):
        published.find(plan.load(), folder.parent)


def test_a_curve_that_its_record_does_not_name_is_refused(folder: Path):
    path = folder / "lab" / RUN / "curve.parquet"
    curve = pd.read_parquet(path)
    curve.assign(value=curve["value"] + 1).to_parquet(path, index=False)
    with pytest.raises(UserError, match="not the one its record names"):
        published.find(plan.load(), folder)


def test_a_frame_of_other_rows_than_its_runs_is_refused(folder: Path):
    path = folder / "lab" / FIGURE / f"{FIGURE}.parquet"
    frame = pd.read_parquet(path)
    frame.iloc[1:].to_parquet(path, index=False)
    with pytest.raises(UserError, match="publish the figure anew"):
        published.find(plan.load(), folder)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "no folder nowhere"),
        ([".", "--out", "../show"], "Nothing is published in"),
        ([".", "--out", "here"], "a folder of its own"),
    ],
)
def test_what_cannot_be_redrawn_is_one_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["redraw", *words]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_what_the_arena_s_page_says_is_what_was_published():
    page = (ROOT / "docs/arena.md").read_text()
    folder = PUBLISHED / "lab/arena-games"
    shown = (ROOT / "docs/arena-games.png").read_bytes()
    assert shown == (folder / "arena-games.png").read_bytes()
    ends = pd.read_csv(folder / "arena-games.csv")
    ends = ends[ends["metric"] == "test_return"]
    ends["method"] = ends["algorithm"].str.split(r" \(").str[0]
    values = ends.set_index(["method", "task"])["value"]
    need = [task for task in values["IPPO"].index if task.startswith(("roll", "games/spec"))]
    for method in ("IPPO", "IPPO, own critics"):
        assert {values[method, task] for task in need} == {2.5, 1.25}
    games = [task for task in values["IPPO"].index if "/" in task]
    assert len(games) == 7 and min(values["IPPO-id", task] for task in games) > 9.98
    assert min(values["IPPO-NS", task] for task in games) > 9.999
    assert f"{values['HyperMARL'][games].min():.2f}" == "9.75" and "at least 9.75" in page
    mdps = ends.set_index(["method", "task"]).loc["MDPS on PPO"]
    eight = mdps.loc["games/specialisation-8x8-10"]
    interval = f"[{eight['ci95_low']:.1f}, {eight['ci95_high']:.1f}]"
    assert f"{eight['value']:.1f} {interval}" in page
    assert f"earns {mdps.loc['games/specialisation-4x4-10-own', 'value']:.1f}" in page
    trials = pd.read_csv(PUBLISHED / "lab/games-sweep/games-sweep-trials.csv")
    scores = trials.groupby(["method", "lr"])["score"]
    for method, lr in (("ippo-id", 2.5e-4), ("hypermarl", 3e-3)):
        low, high = scores.min()[method, lr], scores.max()[method, lr]
        assert f"{low:.2f} to {high:.2f}" in page
    assert sorted(trials["chosen"].groupby(trials["method"]).sum()) == [1] * 9
