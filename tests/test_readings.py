"""Every id of a reading that stands in code or configuration is explained in docs/readings.md,
once.
"""

import re

from small import ROOT

TAG = re.compile(r"\[((?:[A-Z]\d+)(?:, [A-Z]\d+)*)\]")
READINGS = ROOT / "docs/readings.md"


def explained() -> list[str]:
    """Return the ids of the tables' rows."""
    return re.findall(r"(?m)^\| ([A-Z]\d+) \|", READINGS.read_text(encoding="utf-8"))


def used() -> dict[str, str]:
    """Return the ids that comments of code and config files name, and a place of each."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.toml")]
    found = {}
    for path in files:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            comment = line.partition("#")[2]
            for tags in TAG.findall(comment):
                for tag in tags.split(", "):
                    found[tag] = f"{path.relative_to(ROOT)}:{number}"
    return found


def test_every_reading_that_code_names_is_explained() -> None:
    unexplained = {tag: place for tag, place in used().items() if tag not in explained()}
    assert used() and not unexplained, unexplained


def test_a_reading_is_explained_once() -> None:
    ids = explained()
    assert len(ids) == len(set(ids)) > 30


def test_no_tag_points_to_a_document_that_readers_do_not_have() -> None:
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.toml")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"#.*\[(INF|FIG|MEM|\d+(\.\d+)+)[],]|spec/|algorithms\.md", text), path
