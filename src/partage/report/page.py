"""One page of HTML that needs nothing else: no network, and no script, though it has one.

For screen and paper.
"""

import base64
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from docutils.core import publish_parts
from docutils.utils import SystemMessage
from markupsafe import Markup

from partage.config.left_out import longer
from partage.errors import UserError
from partage.plots import files
from partage.report import inline

MANY_POINTS = 60_000  # a picture with more (some 12 bytes each as SVG) is drawn as pixels
MIME = {"svg": "image/svg+xml", "png": "image/png"}


class Picture(NamedTuple):
    """A picture within the page."""

    source: str  # the picture itself, as a data: address
    alt: str  # what is read where it cannot be seen


class LiveFigure(NamedTuple):
    """A figure within the page that its script can reach, and the data it tells of."""

    drawn: Markup | Picture  # the latter where it has too many points
    data: Markup


def embed(data: bytes, kind: str, alt: str) -> Picture:
    """Return a picture's file, svg or png, as a part of the page."""
    return Picture(f"data:{MIME[kind]};base64,{base64.b64encode(data).decode()}", alt)


def embed_canvas(canvas: files.Canvas, alt: str) -> Picture:
    """Return a drawn figure as a part of the page."""
    kind = "png" if has_many_points(canvas) else "svg"
    return embed(files.picture_bytes(canvas, kind), kind, alt)


def embed_live(canvas: files.Canvas, name: str, alt: str, data: Markup) -> LiveFigure:
    """Return a drawn figure as a part of the page that its script can reach."""
    if has_many_points(canvas):
        return LiveFigure(embed_canvas(canvas, alt), data)
    return LiveFigure(inline.inline(files.picture_bytes(canvas, "svg"), name, alt), data)


def has_many_points(canvas: files.Canvas) -> bool:
    """Return whether a drawn figure has more points than are worth writing out."""
    points = 0
    for axes in canvas.axes:
        points += sum(np.size(line.get_xdata()) for line in axes.lines)
    return points > MANY_POINTS


def caption(source: str, where: object) -> Markup:
    """Return reStructuredText as HTML. Raises `UserError` where it is malformed."""
    overrides = {
        "report_level": 5,
        "halt_level": 2,
        "raw_enabled": False,
        "file_insertion_enabled": False,
    }
    try:
        parts = publish_parts(source, writer="html5", settings_overrides=overrides)
    except SystemMessage as error:
        raise UserError(f"{where} is not sound reStructuredText: {error}.") from error
    return Markup(parts.get("body", ""))


def render(**content: Any) -> str:
    """Return the page. What is not `Markup` is escaped, so that no words can become HTML."""
    return environment().get_template("page.html.j2").render(longer=longer, **content)


@cache
def environment() -> jinja2.Environment:
    """Return the templates of this folder, which escape everything that is filled in."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
