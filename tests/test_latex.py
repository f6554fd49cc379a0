"""Tables for a paper, and pictures with their fonts in them."""

import re
from pathlib import Path

import pytest
from small import finish, small_plan

from partage.analysis import frames, latex, settings_tables, tables
from partage.config.plan import Request
from partage.plots import curves, files


@pytest.fixture
def table(tmp_path: Path):
    sheets = small_plan(tmp_path)
    figure, request = sheets.figures["first"], Request(scale="paper")
    recipes = sheets.recipes([figure], request)
    finish(recipes, tmp_path)
    return sheets, figure, frames.build(figure, recipes, tmp_path)


def test_a_table_has_rules_of_booktabs_and_a_row_for_each_algorithm(table):
    sheets, figure, rows = table
    text = latex.render(tables.final_table(figure, tables.build(sheets, figure, rows)))
    lines = text.splitlines()
    assert [line for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    body = [line for line in lines if line.endswith(r"\\")]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text).group(1)  # type: ignore[union-attr]
    assert len(body) == 3 and {line.count(" & ") for line in body} == {len(columns) - 1}
    assert body[1].startswith("toy/a & Alpha & $") and body[1].endswith(r"$1.5$ \\")
    assert (
        text.count("{") == text.count("}") and r"\label{tab:first}" in text and "Smoke" not in text
    )


def test_smoke_scale_says_so_in_the_caption(table):
    sheets, figure, rows = table
    made = tables.build(sheets, figure, rows).assign(scale="smoke")
    assert r"\textbf{Smoke scale: not a result.}" in latex.render(tables.final_table(figure, made))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("15a_3c", r"15a\_3c"),
        ("50 %", r"50 \%"),
        ("a & b", r"a \& b"),
        (r"\x", r"\textbackslash{}x"),
        ("P(A > B)", r"P(A \textgreater{} B)"),
        ("{x}^2~y", r"\{x\}\textasciicircum{}2\textasciitilde{}y"),
    ],
)
def test_words_are_written_so_that_latex_shows_them(words: str, expected: str):
    assert latex.escape(words) == expected


def test_a_table_of_what_is_set_is_written_too(table):
    sheets, *_ = table
    shown = sheets.settings_tables["sizes"]
    text = latex.render(
        settings_tables.render(shown, settings_tables.build(sheets, shown, "paper"))
    )
    assert r"\begin{tabular}{lrrr}" in text and r"toy/a & 3 & 16 & 0.001 \\" in text


def test_a_pdf_is_vector_has_its_fonts_and_no_date(table):
    sheets, figure, rows = table
    made = files.picture_bytes(curves.draw(sheets, figure, rows), "pdf")
    assert made.startswith(b"%PDF") and b"/FontFile2" in made and b"/Type3" not in made
    assert b"/CreationDate" not in made and b"/Subtype /Image" not in made
    assert made == files.picture_bytes(curves.draw(sheets, figure, rows), "pdf")
