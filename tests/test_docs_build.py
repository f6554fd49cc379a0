"""MkDocs builds the site without a warning; where it is not installed a line says so."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small import ROOT

import partage

NEEDED = ("mkdocs", "material", "mkdocstrings_handlers")
LACKING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
BROWSER = shutil.which("chromium")
WHY = f"{', '.join(LACKING)} not installed: make docs installs them"
pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY),
    pytest.mark.xdist_group("site"),
]


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what it would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {key: value or "" for key, value in attrs}
        self.anchors |= {named.get("id", ""), named.get("name", "")}
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        if tag in ("script", "img") and "src" in named:
            self.loaded.append(named["src"])
        if tag == "link" and named.get("rel") == "stylesheet":
            self.loaded.append(named["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "WARNING" not in ran.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page of the site."""
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_public_name_is_documented_from_its_docstring(site: Path) -> None:
    text = (site / "reference/api.html").read_text(encoding="utf-8")
    for name in partage.HOMES:
        assert f'id="partage.{name}"' in text
    assert "A run that was stopped goes on from its last checkpoint" in text


def test_every_link_and_anchor_of_the_site_leads_somewhere(pages: dict[Path, Page]) -> None:
    assert len(pages) > 30
    for path, page in pages.items():
        for link in page.links:
            place, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (path.parent / place).resolve() if place else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), (path, link)
            if anchor and target in pages:
                assert anchor in pages[target].anchors, (path, link)


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for link in page.loaded:
            assert not link.startswith(("http:", "https:", "//")), (path, link)


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium to open the site in")
def test_search_finds_a_page_in_a_site_that_is_opened_as_a_file(site: Path, tmp_path: Path) -> None:
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
    shown = subprocess.run(
        [
            str(BROWSER),
            *options,
            f"--user-data-dir={tmp_path}",
            "--dump-dom",
            f"{(site / 'glossary.html').as_uri()}?q=wasserstein",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    results = re.findall(r'href="([^"]*)" class="md-search-result__link', shown.stdout)
    assert any("python.html" in result for result in results), shown.stderr[-2000:]
