"""The tour: a notebook, run from its first cell to its last, and as a page of the site.

``PYTHONPATH=src python docs/hooks/notebook.py`` runs it in the current folder and keeps what its
cells print and draw, pictures small, in the file: where the notebook is looked at it shows them.
(Standard library only, but for what the cells import.)
"""

import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

TOUR = Path(__file__).resolve().parents[2] / "examples/tour.ipynb"
DPI = 80  # of the pictures that are kept


def cells(path: Path = TOUR) -> list[dict[str, Any]]:
    """Return the cells of a notebook, in order."""
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict[str, Any]) -> str:
    """Return the text of a cell."""
    return "".join(cell["source"])


def run(cell: dict[str, Any], names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell of code with the names that there are by now; return its outputs.

    What it prints, and each figure that it leaves open, which is closed.
    """
    from matplotlib import pyplot

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source(cell), str(TOUR), "exec"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        lines = printed.getvalue().splitlines(keepends=True)
        outputs.append({"output_type": "stream", "name": "stdout", "text": lines})
    for number in pyplot.get_fignums():
        file = io.BytesIO()
        pyplot.figure(number).savefig(file, dpi=DPI, bbox_inches="tight")
        data = {"image/png": base64.b64encode(file.getvalue()).decode()}
        outputs.append({"output_type": "display_data", "data": data, "metadata": {}})
    pyplot.close("all")
    return outputs


def page() -> str:
    """Return the tour as a page: its texts, its code, and what was kept of what that shows."""
    parts = []
    for cell in cells():
        if cell["cell_type"] == "markdown":
            parts.append(source(cell))
            continue
        parts.append(f"```python\n{source(cell)}\n```")
        for output in cell["outputs"]:
            if "text" in output:
                parts.append("```text\n" + "".join(output["text"]).rstrip() + "\n```")
            else:
                picture = output["data"]["image/png"].strip()
                parts.append(f"![what the cell draws](data:image/png;base64,{picture})")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run the tour and keep its outputs."""
    import matplotlib

    matplotlib.use("Agg")
    whole = json.loads(TOUR.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    code = [cell for cell in whole["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(code, start=1):
        cell["outputs"] = run(cell, names)
        cell["execution_count"] = count
    TOUR.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
