"""The report: one page, whole by itself, that shows what there is of the plan and names what is
missing.
"""

import re
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from small import ROOT, SECOND, checkout, edit, finish

from partage.__main__ import main
from partage.config import plan
from partage.config.cores import available_cores
from partage.config.plan import Plan, Request
from partage.config.recipe import Recipe, run_dir
from partage.errors import UserError
from partage.report import build, drawn, inventory, page
from partage.runs import record


class Links(HTMLParser):
    """Everything that the page points to or loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.alt: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "poster", "action"):
                self.found.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")
            if name == "alt":
                self.alt.append(value or "")


def select(html: str) -> Links:
    parser = Links()
    parser.feed(html)
    return parser


def sound(html: str) -> ElementTree.Element:
    """The page as XML: it parses only if every element is closed and every & written out."""
    return ElementTree.fromstring(html.partition("\n")[2])


def words(html: str) -> str:
    body = sound(html).find("body")
    assert body is not None
    for script in body.iter("script"):
        script.text = ""
    return " ".join(" ".join(body.itertext()).split())


def pictures(html: str) -> int:
    return html.count("<img") + html.count("<svg")


@pytest.fixture
def sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The small plan with a second figure and captions; commands run there."""
    checkout(tmp_path)
    with (tmp_path / "src/partage/config/sheets/figures.toml").open("a") as file:
        file.write(SECOND)
    (tmp_path / "src/partage/report/captions").mkdir(parents=True)
    (tmp_path / "src/partage/report/captions/first.rst").write_text(
        "What *first* shows: 5 < 6 & so on.\n\nTwo paragraphs.\n"
    )
    monkeypatch.setattr(plan, "PACKAGE", tmp_path / "src/partage")
    monkeypatch.chdir(tmp_path)
    return plan.load()


def made(sheets: Plan, scale: str, *figures: str) -> tuple[Request, list[Recipe]]:
    """Finished runs of these figures, with full records."""
    request = Request(scale=scale)
    recipes = sheets.recipes(sheets.select_figures(list(figures)) if figures else [], request)
    for place, recipe in zip(finish(recipes, request.root), recipes, strict=True):
        curve, now = record.read(place)[0], datetime.now(UTC)
        facts = {
            "started": now,
            "wall_seconds": 7200.0,
            "cpu_seconds": 3600.0,
            "resumed": 0,
            "threads": 1,
        }
        record.write(
            place,
            curve,
            record.provenance(recipe, **facts, device="cpu", ran=record.code("one", "toy")),
        )
    return request, recipes


def test_the_page_needs_nothing_but_itself(sheets: Plan):
    request, _ = made(sheets, "paper", "first", "second")
    html = build.build(sheets, request, request.root)
    sound(html)
    found = select(html)
    for tag, name, value in found.found:
        assert value.startswith(("data:image/", "#")) or (tag == "a" and name == "href"), (
            tag,
            name,
            value[:80],
        )
    assert "@import" not in html and "<link" not in html
    assert html.count("url(") == html.count("url(#") > 0
    assert len(set(found.ids)) == len(found.ids) and all(found.alt)
    inside = {
        value[1:] for _, name, value in found.found if name == "href" and value.startswith("#")
    }
    assert inside <= set(found.ids)


def test_every_figure_table_and_claim_of_the_plan_is_on_it(sheets: Plan):
    request, _ = made(sheets, "paper", "first", "second")
    html = build.build(sheets, request, request.root)
    said = words(html)
    for figure in sheets.figures.values():
        assert figure.title in said and figure.paper in said and f'id="{figure.name}"' in html
        assert all(claim.says in said for claim in figure.claims)
    assert all(one.title in said for one in sheets.settings_tables.values())
    assert pictures(html) == 3  # two figures, and the profile of the one with several tasks
    assert "What first shows: 5 < 6 & so on." in said and "published" in said and "1.5" in said
    assert "Nothing: all runs of the plan are there." in said and "15 of 15 cells" in said


def test_numbers_intervals_and_the_verdict_are_those_of_the_tables(sheets: Plan):
    request, _ = made(sheets, "paper", "first")
    said = words(build.build(sheets, Request(scale="paper", figures="first"), request.root))
    assert "P(Beta > Alpha) 0.500" in said and "undecided Beta is better." in said


def test_cost_and_provenance_come_from_the_records(sheets: Plan):
    request, recipes = made(sheets, "paper", "first")
    html = build.build(sheets, request, request.root)
    said = words(html)
    assert "toy/a alpha 50,000 1.00 0.00" in said  # env steps of five seeds, CPU-h, GPU-h
    for recipe in recipes:
        assert recipe.hash[:12] in said and run_dir(request.root, recipe).as_posix() in said
    assert f"numpy {np.__version__}" in said and f"{available_cores()} cores, cpu" in said


def test_gpu_hours_are_the_wall_time_of_runs_on_one():
    assert inventory.hours({"wall_seconds": 7200.0, "cpu_seconds": 1800.0, "device": "cuda:1"}) == (
        0.5,
        2.0,
    )
    assert inventory.hours({"wall_seconds": 7200.0, "cpu_seconds": 1800.0, "device": "cpu"}) == (
        0.5,
        0.0,
    )


def test_missing_runs_are_named_with_the_command_that_makes_them(sheets: Plan):
    request, recipes = made(sheets, "paper", "first", "second")
    lost = [recipe for recipe in recipes if recipe.task == "toy/b"]
    for recipe in lost:
        shutil.rmtree(run_dir(request.root, recipe))
    said = words(build.build(sheets, request, request.root))
    assert all(run_dir(request.root, recipe).as_posix() in said for recipe in lost)
    assert "--cores all --config scale=paper figures=second" in said
    assert "figures=first" not in said and "1 of 2 tasks" in said and "10 of 15 cells" in said


def test_a_claim_of_a_figure_of_which_nothing_is_made_is_not_run_which_is_not_undecided(
    sheets: Plan,
):
    request, _ = made(sheets, "paper")
    html = build.build(sheets, request, request.root)
    said = words(html)
    assert "There are no runs of it yet that it can be drawn from." in said and pictures(html) == 0
    assert "not run Beta is better." in said and "Missing: 2 of 2 runs" in said


def test_a_figure_that_cannot_be_drawn_says_why_and_spoils_no_other(sheets: Plan):
    request, _ = made(sheets, "paper", "first", "second")
    figures = sheets.figures | {"first": sheets.figures["first"]._replace(metric="test_score")}
    html = build.build(sheets._replace(figures=figures), request, request.root)
    said = words(html)
    assert "draws 'test_score'" in said and pictures(html) == 2 and "15 of 15 cells" in said


def test_of_a_task_that_is_not_whole_the_algorithms_that_are_there_are_shown(sheets: Plan):
    request, recipes = made(sheets, "paper", "first")
    shutil.rmtree(run_dir(request.root, recipes[1]))
    figure = sheets.figures["first"]
    part = inventory.drawable_part(figure, inventory.find_runs(recipes, request.root))
    assert (
        part
        and not part.is_whole
        and part.figure.algorithms == ["alpha"]
        and not part.figure.claims
    )
    said = words(build.build(sheets, request, request.root))
    assert "Not whole yet" in said and "not run Beta is better." in said


def test_a_claim_of_which_part_of_the_tasks_is_there_is_run_in_part(sheets: Plan):
    request, recipes = made(sheets, "paper", "first")
    figure = sheets.figures["first"]._replace(tasks=["toy/a", "toy/b"])
    wanted = sheets._replace(figures={"first": figure}).recipes([figure], request)
    there = inventory.drawable_part(figure, inventory.find_runs(wanted, request.root))
    assert (
        there
        and there.figure.tasks == ["toy/a"]
        and not there.is_whole
        and len(recipes) < len(wanted)
    )
    assert set(build.judge(sheets, figure, there)["claim_verdict"]) == {"run in part"}


def test_runs_of_a_recipe_that_the_sheets_no_longer_give_do_not_count(sheets: Plan, tmp_path: Path):
    request, _ = made(sheets, "paper", "first")
    edit(tmp_path / "src/partage/config/sheets/algorithms.toml", "hidden = 16", "hidden = 17")
    said = words(build.build(plan.load(), request, request.root))
    assert "made by another recipe than today's (settings)" in said


def test_a_corrupt_run_is_missing_and_says_why(sheets: Plan):
    request, recipes = made(sheets, "paper", "first")
    (run_dir(request.root, recipes[0]) / "curve.parquet").write_bytes(b"PAR1")
    assert "curve.parquet is corrupt" in words(build.build(sheets, request, request.root))


def test_smoke_scale_and_simulators_say_what_they_are_not(sheets: Plan):
    smoke, _ = made(sheets, "smoke", "first")
    said = words(build.build(sheets, smoke, smoke.root))
    assert "Smoke scale: not a result." in said and "not a result (smoke)" in said
    assert "this suite's own simulators" in said
    paper, _ = made(sheets, "paper", "first")
    assert "Smoke scale" not in words(build.build(sheets, paper, paper.root))
    package = Request(scale="paper", engine="package")
    assert "simulators" not in words(build.build(sheets, package, package.root))


def test_the_same_runs_give_the_same_page(sheets: Plan):
    request, _ = made(sheets, "paper", "first", "second")
    assert build.build(sheets, request, request.root) == build.build(sheets, request, request.root)


def test_runs_that_lie_elsewhere_are_reported_from_there(sheets: Plan, tmp_path: Path, capsys):
    request, _ = made(sheets, "paper", "first")
    request.root.rename(tmp_path / "elsewhere")
    command = ["report", "--scale", "paper", "--root", "elsewhere", "--figures", "first"]
    assert main(command) == 0 and "elsewhere/report.html" in capsys.readouterr().out
    said = words((tmp_path / "elsewhere/report.html").read_text())
    assert "10 of 10 cells" in said and "Tables of what is set" not in said
    assert main([*command, "--out", "page.html"]) == 0 and (tmp_path / "page.html").is_file()


def test_a_picture_that_was_drawn_of_another_run_is_not_taken(sheets: Plan):
    figures = {"first": sheets.figures["first"]._replace(episode="alpha")}
    sheets = sheets._replace(figures=figures)
    request, recipes = made(sheets, "paper", "first")
    folder = run_dir(request.root, recipes[0])
    svg = folder / "episode.svg"
    svg.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>\n")
    said = words(build.build(sheets, request, request.root))
    assert "episode.svg was drawn of another run" in said
    drawn.note(svg, drawn.of_run(folder, recipes[0]))
    ElementTree.fromstring(svg.read_text())
    page_now = build.build(sheets, request, request.root)
    assert "drawn of another run" not in words(page_now) and pictures(page_now) == 2
    curve, record_now = record.read(folder)
    record.write(folder, curve.assign(value=0.0), record_now)  # trained anew by other code
    assert "drawn of another run" in words(build.build(sheets, request, request.root))


def test_a_run_that_other_code_began_is_named_with_both_codes(sheets: Plan):
    request, recipes = made(sheets, "paper", "first")
    folder = run_dir(request.root, recipes[0])
    curve, now = record.read(folder)
    record.write(folder, curve, {**now, "earlier_code": ["b" * 64]})
    said = words(build.build(sheets, request, request.root))
    assert f"{'b' * 12} then {now['code']['hash'][:12]}" in said
    assert "Begun by other code than it ended with" in said
    assert "alpha on toy/a, seeds 0-4" in said


def test_a_malformed_caption_is_refused_and_a_sound_one_may_hold_what_it_likes():
    assert page.caption("a *b* ``c`` `d <https://example.org>`_", "x.rst").count("<") >= 8
    with pytest.raises(UserError, match=r"x\.rst is not sound"):
        page.caption("an *open emphasis", "x.rst")


def test_words_from_records_cannot_break_the_page(sheets: Plan):
    request, recipes = made(sheets, "paper", "first")
    place = run_dir(request.root, recipes[0])
    curve, facts = record.read(place)
    record.write(
        place, curve, facts | {"machine": facts["machine"] | {"cpu": "<b>&</b> \" onload='x'"}}
    )
    html = build.build(sheets, request, request.root)
    assert "<b>&</b>" in words(html) and "<b>" not in html


@pytest.mark.parametrize(
    ("place", "request_of_it"),
    [
        ("results/published/lab", Request(scale="lab", seed_count=3)),
    ],
)
def test_the_published_runs_make_a_page_with_the_published_verdicts(
    place: str, request_of_it: Request
):
    """Runs of the repository itself: recipes of today's sheets, whole and partial figures,
    published values.
    """
    sheets, root = plan.load(ROOT), ROOT / place
    html = build.build(sheets, request_of_it, root)
    sound(html)
    said = words(html)
    assert "made by another recipe" not in said and "is corrupt" not in said
    for figure in sheets.select_figures():
        assert figure.title in said and all(claim.says in said for claim in figure.claims)
    assert all(
        one.title in said and f"partage snapshot {name}" in said
        for name, one in sheets.snapshots.items()
    )
    for path in root.glob("*/*-claims.csv"):
        for line in path.read_text().splitlines()[1:]:
            says, verdict = re.match(r'"?(.*?)"?,(holds|fails|undecided),', line).groups()  # type: ignore[union-attr]
            assert f"{verdict} {says}" in said
    assert 100_000 < len(html) < 5_000_000


def test_records_keep_what_the_page_shows(sheets: Plan):
    request, recipes = made(sheets, "paper", "first")
    assert [run.record["recipe"] for run in inventory.find_runs(recipes, request.root)] == [
        asdict(recipe) for recipe in recipes
    ]
