"""Pictures of what the analysis found, with matplotlib; nothing here loads torch.

Drawing the same numbers twice gives the same bytes: the generators of intervals are seeded by a
curve's name, SVG ids by a fixed salt, no file carries a date, and everything is drawn over
matplotlib's own defaults (`style.drawing`) by the part of it that writes files, whatever backend a
notebook has chosen.
"""

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def _load_matplotlib() -> None:
    """Import matplotlib, also where the user's settings for it cannot be read.

    MPLBACKEND may name what is not installed here, and a matplotlibrc hold anything: matplotlib
    then refuses to be imported. No picture of ours depends on either.
    """
    try:
        importlib.import_module("matplotlib")
    except (ValueError, OSError):
        for name in [each for each in sys.modules if each.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # half imported
        with _own_settings():
            importlib.import_module("matplotlib")


@contextlib.contextmanager
def _own_settings() -> Iterator[None]:
    """Have the environment name matplotlib's own settings, for as long as it is imported."""
    spec = importlib.util.find_spec("matplotlib")
    folder = Path(spec.origin or "").parent if spec else Path()
    ours = {"MPLBACKEND": "agg", "MATPLOTLIBRC": str(folder / "mpl-data/matplotlibrc")}
    theirs = {name: os.environ.pop(name) for name in ours if name in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update(theirs)


_load_matplotlib()
