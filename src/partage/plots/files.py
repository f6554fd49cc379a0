"""Pictures as files, without date or version, so that equal pictures are equal bytes."""

import io
from pathlib import Path

from matplotlib.figure import Figure as Canvas

from partage import _io
from partage.plots.style import drawing

WITHOUT_DATE: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def picture_bytes(canvas: Canvas, kind: str) -> bytes:
    """Return the picture as a file of this kind: png, svg or pdf."""
    buffer = io.BytesIO()
    with drawing():
        canvas.savefig(buffer, format=kind, metadata=WITHOUT_DATE[kind], facecolor="white")
    return buffer.getvalue()


def save(canvas: Canvas, *paths: Path) -> None:
    """Save the same picture in each file, of the kind that the file's name says."""
    for path in paths:
        _io.write(path, picture_bytes(canvas, path.suffix[1:]))
