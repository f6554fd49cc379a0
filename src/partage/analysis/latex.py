r"""Tables for a paper: LaTeX with booktabs, ready for ``\input``."""

import math
import re

import pandas as pd

from partage.analysis.tables import number
from partage.config.figures import Figure, SettingsTable

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    ">": r"\textgreater{}",
}
SPECIAL |= {
    "<": r"\textless{}",
    "\u2212": "$-$",
    "\u2013": "--",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
}


def text(words: object) -> str:
    r"""Words as LaTeX shows them.

    >>> text("15a_3c: 50 %")
    '15a\\_3c: 50 \\%'
    """
    return re.sub(r"[\\~^<>&%$#_{}\u2212\u2013]", lambda found: SPECIAL[found.group()], str(words))


def math_number(value: float) -> str:
    """As in the Markdown table, with a minus sign that is one."""
    return "--" if math.isnan(value) else f"${number(value)}$"


def final(figure: Figure, table: pd.DataFrame) -> str:
    """Final performance (`partage.analysis.tables.build`), a rule between tasks."""
    metrics = len(set(table["metric"])) > 1
    head = [
        "Task",
        "Algorithm",
        *(["Measure"] if metrics else []),
        "Value",
        "95\\,\\% interval",
        "Seeds",
        "Published",
    ]
    lines: list[str] = []
    task = None
    for row in table.to_dict("records"):
        if task not in (None, row["task"]):
            lines.append(r"\midrule")
        name, task = (row["task"] if row["task"] != task else ""), row["task"]
        low, high = row["ci95_low"], row["ci95_high"]
        band = "--" if math.isnan(low) else f"$[{number(low)}, {number(high)}]$"
        words = [text(name), text(row["algorithm"]), *([text(row["metric"])] if metrics else [])]
        lines.append(
            _row(
                [
                    *words,
                    math_number(row["value"]),
                    band,
                    str(row["seeds"]),
                    math_number(row["published"]),
                ]
            )
        )
    scale, engine = table["scale"].iat[0], table["engine"].iat[0]
    warning = r"\textbf{Smoke scale: not a result.} " if scale == "smoke" else ""
    caption = (
        f"{warning}{text(figure.title)} ({text(figure.paper)}). Final {text(figure.y_label)}: mean over the last "
        f"15\\,\\% of training, then over seeds; 95\\,\\% stratified bootstrap interval. "
        f"Scale {text(scale)}, engine {text(engine)}."
    )
    return document(figure.name, caption, "ll" + "l" * metrics + "rrrr", head, lines)


def listed(listing: SettingsTable, table: pd.DataFrame) -> str:
    """A table of what is set (`partage.analysis.settings_tables.build`)."""
    sides = "".join(["r" if pd.api.types.is_numeric_dtype(table[name]) else "l" for name in table])
    lines = [_row([text(value) for value in row]) for row in table.itertuples(index=False)]
    caption = f"{text(listing.title)} ({text(listing.paper)})."
    return document(listing.name, caption, sides, [text(name) for name in table], lines)


def document(name: str, caption: str, sides: str, head: list[str], lines: list[str]) -> str:
    return "\n".join(
        [
            "% made by partage; needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{name}}}",
            rf"\begin{{tabular}}{{{sides}}}",
            r"\toprule",
            _row(head),
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
