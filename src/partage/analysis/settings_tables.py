"""Tables of what is set: a row for each task, with facts about it and one algorithm's settings on
it.
"""

import pandas as pd

from partage.config.figures import SettingsTable
from partage.config.plan import Plan


def build(plan: Plan, listing: SettingsTable, scale: str) -> pd.DataFrame:
    """Columns task, the facts, the settings (at this scale)."""
    rows = []
    for task in listing.tasks:
        row = {"task": task} | {fact: plan.tasks[task].facts[fact] for fact in listing.facts}
        if listing.algorithm:
            found = {
                setting.name: setting.value
                for setting in plan.settings(listing.algorithm, task, scale)
            }
            row |= {name: found[name] for name in listing.settings}
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(plan: Plan, listing: SettingsTable, table: pd.DataFrame, scale: str) -> str:
    """The table for a reader."""
    of = (
        f", {plan.variants[listing.algorithm].label}'s settings at scale {scale}"
        if listing.algorithm
        else ""
    )
    lines = [
        f"# {listing.title}",
        "",
        f"{listing.paper}. From tasks.toml and algorithms.toml{of}.",
        "",
    ]
    sides = ["---:" if pd.api.types.is_numeric_dtype(table[name]) else "---" for name in table]
    lines += [f"| {' | '.join(row)} |" for row in (table.columns, sides)]
    lines += [f"| {' | '.join(map(str, row))} |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"
