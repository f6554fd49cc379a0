"""A drawn figure as a part of the page that its script can reach: SVG among the HTML."""

import re
from xml.etree import ElementTree

from markupsafe import Markup

from partage.plots import marks

SVG = "http://www.w3.org/2000/svg"
LEFT_OUT = ("metadata", "style")  # the page's own style sheet says what the latter does
NUMBER = re.compile(r"-?\d+\.\d+")
REFERENCE = re.compile(r"url\(#([^)]*)\)")


def inline(svg: bytes, name: str, alt: str) -> Markup:
    """Return an SVG that matplotlib wrote as an element of a page of HTML, or of XML.

    Its ids become the figure's own, so that several have room in one page; what bears a mark has it
    in attributes. A tenth of a point is as much as paths tell.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _plain(child.tag) in LEFT_OUT:
                parent.remove(child)
    for element in root.iter():
        _rewrite(element, name)
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    root.attrib |= {"xmlns": SVG, "role": "group", "aria-label": alt}
    # every character that HTML knows is written out; there are no comments, and no text
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _plain(name: str) -> str:
    """Return the name of an element or attribute without its name space."""
    return name.rpartition("}")[2]


def _rewrite(element: ElementTree.Element, name: str) -> None:
    """Give an element the ids of the page, its mark and short numbers; no line ends."""
    element.tag = _plain(element.tag)
    old = {_plain(key): value for key, value in element.attrib.items()}
    element.attrib.clear()
    for key, value in old.items():
        mark = marks.read(value) if key == "id" else None
        if mark:
            said = {f"data-{part}": str(of) for part, of in mark._asdict().items()}
            element.attrib |= {key: words for key, words in said.items() if words}
        elif key == "id":
            element.set("id", f"{name}-{value}")
        elif key == "href" and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif key == "d":
            element.set(key, " ".join(NUMBER.sub(_short, value).split()))
        else:
            element.set(key, REFERENCE.sub(rf"url(#{name}-\1)", value))
    element.text = (element.text or "").strip() or None
    element.tail = None


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")
