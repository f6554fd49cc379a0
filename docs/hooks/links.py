"""Links of a page as the site has them: what they lead to outside of docs comes along.

A page of docs is read among the repository's files too, so its links are those of files. In the
site a file of the repository lies below ``repository/``: a page or a picture as it is, a source as
a page that shows it, a folder as its README or a list of what is in it. (Standard library only.)
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
AWAY = ("http://", "https://", "mailto:")
NOTEBOOK = ".ipynb"  # a page of the tutorial
PICTURES = (".png", ".gif", ".svg")
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".json": "json", ".sh": "bash"}
# code, which is left as it is, or the target of a link
TOKEN = re.compile(r"(?s)```.*?```|`[^`\n]*`|(?<=\]\()(?P<link>[^)\s]+)(?=\))")


def links(text: str) -> list[str]:
    """Return where the links of a page lead, but for those to other places than the repository."""
    found = [token["link"] for token in TOKEN.finditer(text) if token["link"]]
    return [link for link in found if not link.startswith(AWAY)]


def target_of(link: str, source: Path) -> tuple[Path, str]:
    """Return the file or folder that a link of the page at `source` leads to, and its anchor."""
    place, _, anchor = link.partition("#")
    if not place:
        return source, anchor
    target = ((source if source.is_dir() else source.parent) / place).resolve()
    readme = target / "README.md"
    return (readme if readme.is_file() else target), anchor


def address(target: Path) -> str:
    """Return where the site has a file or a folder of the repository."""
    if target.is_relative_to(DOCS):
        return target.relative_to(DOCS).as_posix()
    if target.suffix == NOTEBOOK:
        return f"tutorial/{target.stem}.md"
    place = "repository/" + target.relative_to(ROOT).as_posix()
    return place if target.suffix in (*PICTURES, ".md") else f"{place}.md"


def rewritten(text: str, source: Path) -> str:
    """Return the page at `source` with its links to where the site has their targets."""
    here = Path(address(source)).parent

    def lead(token: re.Match[str]) -> str:
        link = token["link"]
        if not link or link.startswith((*AWAY, "#")):
            return token[0]
        target, anchor = target_of(link, source)
        there = Path(os.path.relpath(address(target), here)).as_posix()
        return f"{there}#{anchor}" if anchor else there

    return TOKEN.sub(lead, text)


def taken_along(pages: list[Path]) -> Iterator[Path]:
    """Yield each file and folder outside of docs that pages lead to, and that those lead to."""
    todo, seen = list(pages), set(pages)
    while todo:
        source = todo.pop()
        for link in links(page_of(source)):
            target, _ = target_of(link, source)
            if target not in seen and address(target).startswith("repository/"):
                seen.add(target)
                todo.append(target)
                yield target


def page_of(target: Path) -> str:
    """Return a file or folder of the repository as a page; a picture has none: an empty text."""
    name = target.relative_to(ROOT).as_posix()
    if target.is_dir():
        return f"# {name}\n\n{_listing(target)}\n"
    if target.suffix in PICTURES:
        return ""
    text = target.read_text(encoding="utf-8")
    if target.suffix == ".md":
        return text
    return f"# {name}\n\n````{LANGUAGES.get(target.suffix, 'text')}\n{text}\n````\n"


def _listing(folder: Path) -> str:
    """Return what is in a folder: its pictures, links to its pages, names of its other files."""
    names = sorted(path.name for path in folder.iterdir())
    shown = [f"![{name}]({name})" for name in names if name.endswith(".png")]
    pages = [f"* [{name}]({name})" for name in names if name.endswith(".md")]
    others = [f"* `{name}`" for name in names if not name.endswith((*PICTURES, ".md"))]
    return "\n\n".join([*shown, "\n".join([*pages, *others])])
