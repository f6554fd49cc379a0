"""One table, four ways to write it: markdown, LaTeX, CSV and HTML."""

from xml.etree import ElementTree

import pandas as pd
import pytest

from partage.analysis import latex, table
from partage.analysis.table import Table
from partage.report import page

HTML = '{% from "parts.html.j2" import table %}{{ table(one) }}'


@pytest.fixture
def scores() -> Table:
    """Two tasks with words that every format has to escape, a value below zero and one missing."""
    data = pd.DataFrame(
        {
            "task": ["a_1", "a_1", "<b>"],
            "value": [-700.6, 0.5, float("nan")],
            "ci95_low": [-800.0, float("nan"), 0.1],
            "ci95_high": [-600.0, float("nan"), 0.2],
            "seeds": [5, 5, 4],
            "hidden": ["x", "y", "z"],
        }
    )
    columns = (table.words("task"), table.value("value"), table.interval(), table.count("seeds"))
    return Table(data, columns, name="t", caption="50 % of it.", group_by="task")


def test_markdown_has_a_line_for_each_row_and_aligns_numbers_right(scores: Table) -> None:
    assert scores.markdown() == [
        "| task | value | 95 % interval | seeds |",
        "|---|---:|---:|---:|",
        "| a_1 | -701 | [-800, -600] | 5 |",
        "| a_1 | 0.500 | \u2013 | 5 |",
        "| <b> | \u2013 | [0.100, 0.200] | 4 |",
    ]


def test_latex_has_a_rule_between_groups_and_says_a_group_s_name_once(scores: Table) -> None:
    lines = latex.render(scores).splitlines()
    assert r"\begin{tabular}{lrrr}" in lines and r"\caption{50 \% of it.}" in lines
    assert lines[lines.index(r"\toprule") : lines.index(r"\bottomrule")] == [
        r"\toprule",
        r"Task & Value & 95\,\% interval & Seeds \\",
        r"\midrule",
        r"a\_1 & $-701$ & $[-800, -600]$ & 5 \\",
        r" & $0.500$ & -- & 5 \\",
        r"\midrule",
        r"\textless{}b\textgreater{} & -- & $[0.100, 0.200]$ & 4 \\",
    ]


def test_csv_keeps_the_raw_numbers_and_what_no_reader_is_shown(scores: Table) -> None:
    first, second, *_ = scores.csv().split("\n")
    assert first == "task,value,ci95_low,ci95_high,seeds,hidden"
    assert second == "a_1,-700.6,-800.0,-600.0,5,x"


def test_html_escapes_every_word_and_aligns_numbers_right(scores: Table) -> None:
    html = page.environment().from_string(HTML).render(one=scores)
    rows = ElementTree.fromstring(html).findall(".//tbody/tr")
    cells = [["".join(cell.itertext()) for cell in row] for row in rows]
    assert cells[1:] == [["", "0.500", "\u2013", "5"], ["<b>", "\u2013", "[0.100, 0.200]", "4"]]
    assert [cell.get("class") for cell in rows[0]] == [None, "right", "right", "right"]
    assert "<b>" not in html


def test_a_link_and_a_total_are_marked_in_html() -> None:
    data = pd.DataFrame({"name": ["one", "all"], "hours": [1234.5, 2.0]})
    link = table.Column("name", lambda row: table.Cell(row["name"], "link", row["name"]))
    one = Table(data, (link, table.amount("hours", digits=2)), has_total=True)
    html = page.environment().from_string(HTML).render(one=one)
    assert '<a href="#one">one</a>' in html and "1,234.50" in html
    assert html.count('class="total"') == 1 and html.index('class="total"') > html.index("1,234.50")


def test_a_table_without_some_columns_shows_the_others(scores: Table) -> None:
    assert scores.without("seeds", "value").markdown()[0] == "| task | 95 % interval |"


def test_a_template_that_lacks_a_value_is_refused_rather_than_left_blank() -> None:
    with pytest.raises(Exception, match="front"):
        page.render()
