"""The documentation's site, as far as it can be told without MkDocs: nav, reference, commands."""

import re
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from small import ROOT

import partage
from partage.cli.parser import build_parser
from partage.config.request import Request

sys.path.insert(0, str(ROOT / "docs/hooks"))
import api_reference
import catalogue
import command_line
import learners_reference
import links
import sheets_reference

DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
PAGES = sorted(path for path in DOCS.rglob("*.md"))
PARSER, _ = build_parser()
KNOWN = catalogue.plan.load()
COMING = ()  # until the Makefile has it
OWN_FIGURES = ("mine",)  # of the study that a page makes
FENCE = re.compile(r"(?ms)^```\w*\n(.*?)^```")


def leaves(part: Any) -> Iterator[str]:
    """Yield the pages that the navigation names."""
    if isinstance(part, str):
        yield part
    else:
        for each in part.values() if isinstance(part, dict) else part:
            yield from leaves(each)


def generated() -> set[str]:
    """Return the pages that are made while the site is built; what makes them is not imported, as
    it imports MkDocs.
    """
    events = (DOCS / "hooks/events.py").read_text(encoding="utf-8")
    return set(re.findall(r'^    "(\S+\.md)": ', events, re.MULTILINE))


def commands(program: str) -> list[str]:
    """Return what follows a program's name in each line of the pages' blocks of code, and of make
    also what is named within a text.
    """
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in FENCE.findall(text):
            found += re.findall(rf"(?m)^(?:\.venv/bin/)?{program} ([^#\n]*)", block)
        found += re.findall(r"`make ([^`\n]*)`", text) if program == "make" else []
    return sorted({line.removesuffix("...").strip() for line in found})


def test_the_navigation_has_every_page_once() -> None:
    named = sorted(leaves(SITE["nav"]))
    assert named == sorted({path.relative_to(DOCS).as_posix() for path in PAGES} | generated())


def test_what_pages_lead_to_outside_of_docs_comes_along_and_what_that_leads_to() -> None:
    taken = list(links.taken_along(PAGES))
    places = [links.address(target) for target in taken]
    assert len(set(places)) == len(places)
    for direct in ("CONTRIBUTING.md", "examples/measure_my_agents.py"):
        assert ROOT / direct in taken
    assert ROOT / "results/published/former/critic-4/README.md" in taken
    for page in taken:
        for link in links.links(links.page_of(page)):
            assert links.target_of(link, page)[0].exists(), (page, link)


def test_links_of_a_page_lead_where_the_site_has_their_targets() -> None:
    text = "[a](../Makefile#x), `[b](../c)`, ![d](d.png) [e](cluster.md#f) [g](#h)"
    made = "[a](repository/Makefile.md#x), `[b](../c)`, ![d](d.png) [e](cluster.md#f) [g](#h)"
    assert links.rewritten(text, DOCS / "games.md") == made
    tour = links.rewritten("[a](../../examples/tour.ipynb)", DOCS / "tutorial/figure.md")
    assert tour == "[a](tour.md)"
    back = links.rewritten("[a](../../docs/fidelity.md)", ROOT / "results/published/README.md")
    assert back == "[a](../../../fidelity.md)"


@pytest.mark.parametrize("name", sorted(set(partage.__all__) - {"__version__"}))
def test_a_public_name_has_its_entry(name: str) -> None:
    assert f"::: partage.{name}\n" in api_reference.page()
    assert re.search(rf"(?m)^### `{name}\b", (DOCS / "python.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("part", sheets_reference.parts(), ids=lambda part: part.title)
def test_every_key_of_a_sheet_is_in_the_reference_and_no_other(part: Any) -> None:
    assert part.keys.keys() == part.meanings.keys(), "docs/hooks/sheets_reference.py says what is"
    assert part.needed <= part.keys.keys()
    section = sheets_reference.page().partition(f"## {part.title}\n")[2].partition("\n## ")[0]
    for key in part.keys:
        assert f"| `{key}` | " in section


def test_every_key_of_what_is_asked_for_is_in_the_reference() -> None:
    assert sheets_reference.REQUEST.keys() == sheets_reference.request_keys().keys()


def test_every_command_and_option_is_in_the_reference() -> None:
    page = command_line.page()
    for name, parser in command_line.commands_of(PARSER).items():
        section = page.partition(f"### partage {name}\n")[2].partition("\n### ")[0]
        for action in parser._actions[1:]:
            for option in action.option_strings or [str(action.metavar)]:
                assert option in section, name


def test_every_setting_of_a_learner_is_in_the_reference_with_its_remark() -> None:
    page = learners_reference.page()
    for name, fields in learners_reference.read_learners(learners_reference.FOLDER).items():
        section = page.partition(f"## {name}\n")[2].partition("\n## ")[0]
        for field in fields:
            assert f"| `{field}` | " in section, name
    remarks = learners_reference.remarks_of(learners_reference.FOLDER / "mdps.py")
    assert "Adam" in remarks["lr"]  # of the learner that its settings build on


def test_the_catalogue_has_every_figure_algorithm_and_task() -> None:
    page = catalogue.page()
    for name in (*KNOWN.figures, *KNOWN.variants, *KNOWN.tasks):
        assert f"| `{name}` | " in page, name


@pytest.mark.parametrize("line", commands("partage"))
def test_a_command_in_the_documentation_is_one_that_there_is(line: str) -> None:
    if line in COMING:
        return
    assert PARSER.parse_args(shlex.split(line)).perform


@pytest.mark.parametrize("line", commands("make"))
def test_a_target_in_the_documentation_is_one_that_there_is(line: str) -> None:
    targets = re.findall(r"(?m)^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert {word for word in line.split() if "=" not in word} <= {*targets, *COMING}


@pytest.mark.parametrize("line", commands("snakemake"))
def test_what_the_documentation_asks_snakemake_for_is_there(line: str) -> None:
    given = re.findall(r"(\w+)=(\S+)", line.partition("--config ")[2].partition(" --")[0])
    request = Request.of({key: int(value) if value.isdigit() else value for key, value in given})
    known = {*KNOWN.figures, *OWN_FIGURES, "all"}
    assert set(request.figures.split(",")) <= known


def test_the_glossary_has_the_words_that_the_suite_uses_in_a_way_of_its_own() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"(?m)^## (.*)$", text)
    wanted = "run cell pack set bank block recipe frame scale engine assignment record sheet claim"
    assert terms == sorted(terms) and set(wanted.split()) <= set(terms)
