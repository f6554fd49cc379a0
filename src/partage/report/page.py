"""One page of HTML that needs nothing else: no network, no script; for a screen, a phone and paper."""

import base64
import html
from collections.abc import Sequence

from docutils.core import publish_parts
from docutils.utils import SystemMessage

from partage.errors import UserError

STYLE = """
:root { color-scheme: light; --ink: #1f2328; --faint: #59636e; --line: #d8dee4; --ground: #f6f8fa; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1.25rem 4rem; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .2rem 0 .4rem; }
h2 { font-size: 1.35rem; line-height: 1.25; margin: 3rem 0 .3rem; padding-top: 1.2rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: #0550ae; text-decoration: none; } a:hover { text-decoration: underline; }
.faint { color: var(--faint); font-size: .875rem; }
.banner { border-left: .3rem solid #b00020; background: #fdf0f1; padding: .6rem .9rem; margin: .8rem 0;
  max-width: none; }
.banner.note { border-color: #9a6700; background: #fff8e6; }
img { display: block; width: auto; max-width: 100%; height: auto; margin: .8rem 0; }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--line); }
th, td { padding: .28rem .8rem .28rem 0; vertical-align: top; }
td { border-bottom: 1px solid var(--line); }
.right { text-align: right; white-space: nowrap; }
code { font: .85em/1.45 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; background: var(--ground);
  padding: .1em .3em; border-radius: .25em; overflow-wrap: anywhere; }
pre { background: var(--ground); padding: .6rem .8rem; border-radius: .4rem; overflow-x: auto; margin: .5rem 0; }
pre code { padding: 0; white-space: pre-wrap; }
.verdict { display: inline-block; font-size: .78rem; font-weight: 600; padding: .08rem .55rem; border-radius: 1rem;
  border: 1px solid currentColor; white-space: nowrap; }
.holds { color: #116329; } .fails { color: #b00020; } .open { color: var(--faint); }
nav ol { columns: 2 20rem; padding-left: 1.9rem; } nav li { break-inside: avoid; }
.claim { margin: 1rem 0 .2rem; max-width: 52rem; }
details > summary { cursor: pointer; color: #0550ae; margin: .5rem 0; }
td code { white-space: nowrap; }
@media (max-width: 40rem) { .scroll > img { max-width: 44rem; }
  body { padding: 1rem .8rem 3rem; font-size: 15px; } h1 { font-size: 1.5rem; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2, h3 { break-after: avoid; }
  img, tr, .banner { break-inside: avoid; } .scroll { overflow: visible; } a { color: inherit; } }
"""


def text(words: object) -> str:
    """Words as they are, whatever they are."""
    return html.escape(str(words), quote=True)


def tag(name: str, inner: str, **attributes: str) -> str:
    """An element around what is HTML already; ``class_`` stands for ``class``."""
    words = "".join(f' {key.rstrip("_")}="{text(value)}"' for key, value in attributes.items())
    return f"<{name}{words}>{inner}</{name}>"


def rows(head: Sequence[str], body: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; columns in `right` hold numbers. What the first
    repeats is left out.
    """

    def line(cells: Sequence[str], kind: str) -> str:
        return tag(
            "tr",
            "".join(
                tag(kind, x, **({"class_": "right"} if i in right else {}))
                for i, x in enumerate(cells)
            ),
        )

    pairs = zip(["", *(x[0] for x in body)], body, strict=False)
    sparse = [["" if x[0] == above else x[0], *x[1:]] for above, x in pairs]
    made = tag("thead", line([text(x) for x in head], "th")) + tag(
        "tbody", "\n".join(line(x, "td") for x in sparse)
    )
    return tag("div", tag("table", made), class_="scroll")


def image(data: bytes, kind: str, says: str) -> str:
    """A picture within the page; `says` is read where it cannot be seen."""
    kind = "svg+xml" if kind == "svg" else kind
    made = f'<img src="data:image/{kind};base64,{base64.b64encode(data).decode()}" alt="{text(says)}" />'
    return tag("div", made, class_="scroll")


def command(words: str) -> str:
    return tag("pre", tag("code", text(words)))


def verdict(word: str) -> str:
    kind = word if word in ("holds", "fails") else "open"
    return tag("span", text(word), class_=f"verdict {kind}")


def caption(source: str, where: object) -> str:
    """reStructuredText as HTML; a `UserError` where it is malformed."""
    quiet = {
        "report_level": 5,
        "halt_level": 2,
        "raw_enabled": False,
        "file_insertion_enabled": False,
    }
    try:
        return publish_parts(source, writer="html5", settings_overrides=quiet).get("body", "")
    except SystemMessage as error:
        raise UserError(f"{where} is not sound reStructuredText: {error}.") from error


def document(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
