"""The anchors of headings: in the site the same as where the repository's pages are shown."""

import re

HEADING = re.compile(r"(?m)^#+ (.*)$")
FENCE = re.compile(r"(?ms)^(`{3,}).*?^\1")


def slug(title: str, separator: str = "-") -> str:
    """Return the anchor of a heading: its letters in lower case, blanks as the separator."""
    plain = re.sub(r"[^\w\- ]", "", title).strip().lower()
    return plain.replace(" ", separator)


def of_page(text: str) -> list[str]:
    """Return the anchors of a page's headings, in order."""
    return [slug(title) for title in HEADING.findall(FENCE.sub("", text))]
