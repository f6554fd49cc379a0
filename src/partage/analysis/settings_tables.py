"""Tables of what is set: a row for each task, with facts about it and one algorithm's settings."""

from typing import Any

import pandas as pd

from partage.analysis.table import LEFT, RIGHT, Table, words
from partage.config.plan import Plan
from partage.config.settings_tables import SettingsTable


def build(plan: Plan, settings_table: SettingsTable, scale: str) -> pd.DataFrame:
    """Return the columns task, the facts, and the settings (at this scale)."""
    return pd.DataFrame([_row(plan, settings_table, task, scale) for task in settings_table.tasks])


def _row(plan: Plan, settings_table: SettingsTable, task: str, scale: str) -> dict[str, Any]:
    facts = plan.tasks[task].facts
    row = {"task": task} | {fact: facts[fact] for fact in settings_table.facts}
    if settings_table.algorithm:
        settings = plan.settings(settings_table.algorithm, task, scale)
        values = {setting.name: setting.value for setting in settings}
        row |= {name: values[name] for name in settings_table.settings}
    return row


def render(settings_table: SettingsTable, data: pd.DataFrame) -> Table:
    """Return the data of `build` as a table for readers."""
    columns = []
    for name in data:
        side = RIGHT if pd.api.types.is_numeric_dtype(data[name]) else LEFT
        columns.append(words(str(name))._replace(align=side, is_code=True))
    caption = f"{settings_table.title} ({settings_table.paper})."
    return Table(data, tuple(columns), name=settings_table.name, caption=caption)


def markdown(plan: Plan, settings_table: SettingsTable, data: pd.DataFrame, scale: str) -> str:
    """Return the page of a settings table."""
    whose = ""
    if settings_table.algorithm:
        label = plan.variants[settings_table.algorithm].label
        whose = f", {label}'s settings at scale {scale}"
    lines = [
        f"# {settings_table.title}",
        "",
        f"{settings_table.paper}. From tasks.toml and algorithms.toml{whose}.",
        "",
        *render(settings_table, data).markdown(),
    ]
    return "\n".join(lines) + "\n"
