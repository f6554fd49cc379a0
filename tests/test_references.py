"""Others' curves beside ours: fetched and checked, drawn thin and grey, in no number of ours."""

import csv
import hashlib
import http.server
import io
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from guests import checkout_with_guest, three
from small import ROOT, edit, finish

from partage.__main__ import main
from partage.config import plan, references
from partage.config.plan import Request
from partage.config.references import LICENCES, SHIPPED
from partage.errors import UserError
from partage.plots import curves
from partage.plots import references as drawing
from partage.runs import reference_curves

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXT = "step,won\n0,10\n50,20\n100,30\n,99\n150,\n"  # a line without a step, one without a value
HEAD = """
title = "Theirs"
repository = "{repository}"
commit = "{commit}"
licence = "MIT"
protocol = "another simulator"
"""
CURVE = """
[[curves]]
tasks = ["toy/a"]
metric = "train_return"
label = "Theirs"
reader = "csv"
files = "data/"
steps = "step"
values = "won"
factor = 0.1
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small checkout, in which every reference is the user's."""
    place = checkout_with_guest(tmp_path, monkeypatch)
    edit(place / "src/partage/config/sheets/figures.toml", '"beta", "theirs"]', '"beta"]')
    edit(place / "src/partage/config/sheets/figures.toml", '["alpha", "theirs"]', '["alpha"]')
    monkeypatch.setattr(references, "SHIPPED", tmp_path / "none")
    return place


def sums(files: dict[str, bytes]) -> str:
    rows = [f'"{name}" = "{hashlib.sha256(data).hexdigest()}"' for name, data in files.items()]
    return "\n[files]\n" + "\n".join(rows) + "\n"


def declared(here: Path, files: dict[str, bytes], curve: str = CURVE, at: str = "") -> Path:
    """Write a reference whose repository is a folder of this machine, or is served at an address.

    Return that folder.
    """
    served = here / "theirs" / "raw" / COMMIT
    for name, data in files.items():
        (served / name).parent.mkdir(parents=True, exist_ok=True)
        (served / name).write_bytes(data)
    head = HEAD.format(repository=at or f"file://{here}/theirs", commit=COMMIT)
    sheet = here / "results/references/theirs.toml"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    sheet.write_text(head + curve + sums(files))
    return served


TWO = {
    "data/seed_1.csv": TEXT.encode(),
    "data/seed_2.csv": TEXT.replace(",30", ",50").encode(),
}


def fetched(here: Path, files: dict[str, bytes] = TWO, curve: str = CURVE) -> list:
    """What the first figure shows of a reference that was fetched."""
    declared(here, files, curve)
    assert main(["reference", "fetch", "theirs"]) == 0
    return shown()


def shown() -> list[reference_curves.Shown]:
    return reference_curves.shown_in(plan.load().figures["first"], Path("results"))


def refused(capsys, *words: object) -> str:
    """What a refusal says: one sentence on one line."""
    capsys.readouterr()
    assert main(list(map(str, words))) == 2
    out, said = capsys.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    return said


@pytest.fixture
def server(here: Path) -> Iterator[str]:
    """A repository on the network of this machine alone."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(here / "theirs"))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_files_are_fetched_over_http_checked_and_kept_where_git_does_not_look(
    here: Path, server: str, capsys
):
    odd = {"data/a b:c#.csv": TEXT.encode()}  # as EPyMARL's folders have colons
    declared(here, odd, at=server)
    assert main(["reference"]) == 0 and "not fetched" in capsys.readouterr().out
    assert main(["reference", "fetch", "theirs"]) == 0
    kept = here / "results/references/theirs/data/a b:c#.csv"
    assert kept.read_bytes() == TEXT.encode()
    assert main(["reference", "list"]) == 0 and "not fetched" not in capsys.readouterr().out
    assert "results/*" in (ROOT / ".gitignore").read_text().splitlines()


def test_without_a_network_fetching_is_one_sentence_with_another_way(here: Path, capsys):
    declared(here, TWO, at="http://127.0.0.1:9")
    said = refused(capsys, "reference", "fetch", "theirs")
    assert "Could not fetch" in said and "--from" in said and COMMIT in said
    assert not (here / "results/references/theirs").exists()
    assert shown() == []


def as_folder(served: Path) -> Path:
    return served


def as_zip(served: Path) -> Path:
    """As GitHub gives a repository: all in one folder."""
    path = served.parents[2] / "theirs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(served.rglob("*.csv")):
            archive.write(file, f"theirs-0123/{file.relative_to(served)}")
    return path


@pytest.mark.parametrize("given", [as_folder, as_zip])
def test_who_has_no_network_gives_a_folder_or_a_zip_file(here: Path, given):
    served = declared(here, TWO, at="http://127.0.0.1:9")
    assert main(["reference", "fetch", "theirs", "--from", str(given(served))]) == 0
    assert [len(curve.seeds) for curve in shown()] == [2]


def test_a_reference_of_one_file_is_given_as_this_file(here: Path, tmp_path: Path, capsys):
    declared(here, {"data/seed_1.csv": TEXT.encode()}, at="http://127.0.0.1:9")
    (tmp_path / "other name").write_text(TEXT)
    assert main(["reference", "fetch", "theirs", "--from", str(tmp_path / "other name")]) == 0
    declared(here, TWO, at="http://127.0.0.1:9")
    said = refused(capsys, "reference", "fetch", "theirs", "--from", tmp_path / "other name")
    assert "neither a folder nor a ZIP file" in said
    said = refused(capsys, "reference", "fetch", "theirs", "--from", "nowhere")
    assert "There is no nowhere" in said


def test_a_file_with_another_sum_is_refused_and_nothing_is_written(here: Path, capsys):
    served = declared(here, TWO)
    (served / "data/seed_2.csv").write_text("step,won\n0,1\n")
    said = refused(capsys, "reference", "fetch", "theirs")
    assert "seed_2.csv is not the file that theirs names" in said and "sha256" in said
    assert not (here / "results/references/theirs").exists()


def test_a_file_that_was_changed_after_it_was_fetched_is_drawn_nowhere(here: Path):
    fetched(here)
    (here / "results/references/theirs/data/seed_1.csv").write_text("step,won\n0,1\n")
    with pytest.raises(UserError, match="its sha256 is"):
        shown()


SHEETS = {
    "no licence": ('licence = "MIT"', "", "names no licence"),
    "an empty licence": ('"MIT"', '""', "names no licence"),
    "a licence that does not allow it": ('"MIT"', '"GPL-3.0"', "Unknown licence 'GPL-3.0'"),
    "what is one's own and yet fetched": ('"MIT"', '"own"', "Unknown licence 'own'"),
    "no sum": ('"data/seed_1.csv" = "', '"data/seed_1.csv" = "x', "64 hexadecimal digits"),
    "no commit": (f'commit = "{COMMIT}"', 'commit = "main"', "40 hexadecimal digits"),
    "no repository": ("repository", "repositories", "key 'repositories'"),
    "another scheme": ("file://", "ftp://", "Unknown scheme"),
    "a path out of its folder": ('"data/seed_1.csv" =', '"../seed_1.csv" =', "path within"),
    "no such reader": ('"csv"', '"xls"', "Unknown reader 'xls'"),
    "no column of steps": ('steps = "step"', "", "steps is the column"),
    "no files": ('files = "data/"', 'files = "other/"', "begins with 'other/'"),
    "no task": ('["toy/a"]', '["toy"]', "family/name"),
    "no protocol": ('"another simulator"', '""', "protocol"),
    "two lines in a label": ('label = "Theirs"', 'label = "a\\nb"', "one line"),
}


@pytest.mark.parametrize("what", SHEETS)
def test_a_reference_without_what_it_needs_is_one_sentence(here: Path, capsys, what: str):
    old, new, sentence = SHEETS[what]
    declared(here, TWO)
    edit(here / "results/references/theirs.toml", old, new)
    assert sentence in refused(capsys, "reference", "fetch", "theirs")


def npy(values) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def steps(*values: object) -> str:
    return "step,won\n" + "".join(f"{n * 50},{value}\n" for n, value in enumerate(values))


NPY = CURVE.replace('"csv"', '"npy"').replace('"step"', "50")
CONTENTS = {
    "NaN": (steps(1, "nan").encode(), CURVE, "line 3: 'nan' is no finite number"),
    "infinity": (steps("-inf").encode(), CURVE, "no finite number"),
    "a word": (steps("high").encode(), CURVE, "line 2: 'high' is no number"),
    "half a step": (b"step,won\n0.5,1\n", CURVE, "no whole number"),
    "another column": (b"step,lost\n0,1\n", CURVE, "has no column 'won'"),
    "nothing": (b"step,won\n", CURVE, "holds no train_return"),
    "no text": (b"\xff\xff", CURVE, "not text in UTF-8"),
    "a NaN in an array": (npy([0.5, np.nan]), NPY, "no finite number"),
    "a table of numbers": (npy(np.ones((2, 2))), NPY, "one after the other"),
    "a pickle": (npy(np.array([{}], dtype=object)), NPY, "no array of NumPy's"),
    "no array": (b"step,won\n", NPY, "no array of NumPy's"),
}


@pytest.mark.parametrize("what", CONTENTS)
def test_a_malformed_file_is_one_sentence(here: Path, capsys, what: str):
    content, curve, sentence = CONTENTS[what]
    declared(here, {"data/x": content}, curve)
    assert main(["reference", "fetch", "theirs"]) == 0
    assert sentence in refused(capsys, "reference", "finals", "theirs")


def marl_eval() -> bytes:
    def run(first: float) -> dict:
        return {
            f"step_{n}": {"step_count": 50 * n, "return": [first + n, first + n]} for n in (0, 1, 2)
        }

    found = {
        "toy": {"a": {"theirs": {"seed_1": run(1), "seed_2": run(3)}, "x": {"seed_1": run(9)}}}
    }
    return json.dumps(found).encode()


def sacred() -> dict[str, bytes]:
    series = {"return": {"steps": [0, 50, 100], "values": [1, 2, 3]}}
    return {
        f"data/{seed}/{name}": json.dumps(content).encode()
        for seed in (1, 2)
        for name, content in (("config.json", {"seed": seed}), ("metrics.json", series))
    }


WHERE = '\nwhere = { task = "{task}", algorithm = "theirs" }\n'
READ = {
    "csv": (TWO, CURVE),
    "npy": ({"data/1.npy": npy([10, 20, 30]), "data/2.npy": npy([10.0, 20, 50])}, NPY),
    "marl-eval": (
        {"data/m.json": marl_eval()},
        CURVE.replace('"csv"', '"marl-eval"').replace('"won"', '"return"') + WHERE,
    ),
    "sacred": (sacred(), CURVE.replace('"csv"', '"sacred"').replace('"won"', '"return"')),
}


@pytest.mark.parametrize("reader", READ)
def test_every_reader_gives_each_seed_its_steps_and_values_in_our_unit(here: Path, reader: str):
    (curve,) = fetched(here, *READ[reader])
    expected = {"csv": [3, 5], "npy": [3, 5], "marl-eval": [0.3, 0.5], "sacred": [0.3, 0.3]}
    assert [seed.env_steps.tolist() for seed in curve.seeds] == [[0, 50, 100]] * 2
    assert [seed.values[-1] for seed in curve.seeds] == pytest.approx(expected[reader])
    assert [seed.name for seed in curve.seeds] == ["1", "2"]


def draw(here: Path) -> dict[str, bytes]:
    """Draw the first figure from its runs; return all that is written of it but the pictures."""
    request = Request(scale="lab")
    finish(plan.load().recipes([plan.load().figures["first"]], request), request.root)
    for words in (["frame", "first"], ["draw", "first"], ["export", "--figures", "first"]):
        assert main([*words, "--scale", "lab"]) == 0
    files = sorted((here / "results/lab").rglob("*"))
    kept = [file for file in files if file.is_file() and file.parent.name != "figures"]
    kept = [file for file in kept if "runs" not in file.parts]
    return {file.name: file.read_bytes() for file in kept}


def test_no_table_verdict_frame_or_export_knows_of_a_reference(here: Path):
    before = draw(here)
    picture = (here / "results/lab/figures/first.svg").read_bytes()
    fetched(here)
    after = draw(here)
    assert {"first.csv", "first-claims.csv", "first.md", "first.parquet", "marl-eval.json"} <= set(
        before
    )
    assert after == before
    assert (here / "results/lab/figures/first.svg").read_bytes() != picture
    shutil.rmtree(here / "results/references/theirs")
    assert draw(here) == before
    assert (here / "results/lab/figures/first.svg").read_bytes() == picture


def frame(here: Path) -> tuple:
    from partage.analysis import frames

    sheets, request = plan.load(), Request(scale="lab")
    figure = sheets.figures["first"]
    recipes = sheets.recipes([figure], request)
    finish(recipes, request.root)
    return sheets, figure, frames.build(figure, recipes, request.root)


def test_a_reference_is_thin_grey_dashed_behind_ours_and_said_to_be_of_others(here: Path):
    others = fetched(here)
    sheets, figure, rows = frame(here)
    canvas = curves.draw(sheets, figure, rows, others)
    ours = curves.draw(sheets, figure, rows).axes[0].lines
    added = canvas.axes[0].lines[len(ours) :]
    assert len(added) == 3  # two seeds and their mean
    for line in added:
        assert line.get_color() in drawing.GREYS and line.get_linewidth() <= 1
        assert line.get_zorder() < min(each.get_zorder() for each in ours)
    assert added[-1].is_dashed() and added[-1].get_ydata()[-1] == pytest.approx(4)
    said = [text.get_text() for text in canvas.legends[0].get_texts()]
    assert said[0] == "Theirs: 2 seeds (dashed: their mean), up to 100 steps"
    assert said[1] == "theirs@0123456, licence MIT: another simulator".replace(
        "theirs@", f"{here.name}/theirs@"
    )
    legend = canvas.legends[0]
    assert "Of others" in legend.get_title().get_text()
    assert canvas.axes[0].get_xlim() == curves.draw(sheets, figure, rows).axes[0].get_xlim()


def test_what_is_said_of_others_covers_neither_the_panel_nor_the_note(here: Path):
    others = fetched(here)
    more = [other._replace(about="x " * 300 + str(n)) for other in others for n in range(4)]
    canvas = curves.draw(*frame(here), more)
    canvas.draw_without_rendering()
    legend = canvas.legends[0].get_window_extent()
    note = next(text for text in canvas.texts if "Scale lab" in text.get_text())
    label = next(text for text in canvas.texts if text.get_text().startswith("updates"))
    assert note.get_window_extent().y1 <= legend.y0 and legend.y0 > 0
    assert legend.y1 <= label.get_window_extent().y0
    assert legend.x1 <= canvas.bbox.x1


def test_a_mean_that_others_published_is_one_line_and_said_to_be_one(here: Path):
    (curve,) = fetched(here, {"data/m.csv": TEXT.encode()}, CURVE + "mean_of = 5\n")
    assert curve.words == "Theirs: mean of 5 seeds, up to 100 steps"
    assert len(curve.seeds) == 1


def test_what_lies_beyond_our_axis_is_neither_drawn_nor_listed(here: Path):
    late = "step,won\n0,1\n90000,2\n"
    others = fetched(here, {"data/m.csv": late.encode()})
    sheets, figure, rows = frame(here)
    assert len(others) == 1 and drawing.visible(figure, rows, others) == []
    canvas = curves.draw(sheets, figure, rows, others)
    assert len(canvas.legends) == 1
    assert len(canvas.axes[0].lines) == len(curves.draw(sheets, figure, rows).axes[0].lines)


def test_a_figure_over_updates_shows_only_references_that_count_them(here: Path):
    edit(here / "src/partage/config/sheets/figures.toml", '"env_steps"', '"updates"')
    others = fetched(here)
    assert drawing.visible(*frame(here)[1:], others) == []
    rows = "".join(f"7,{n * 10},{n},train_return,{n}\n" for n in range(20))
    (here / "mine.csv").write_text("seed,env_steps,updates,metric,value\n" + rows)
    assert brought(here, "mine.csv") == 0
    (mine,) = drawing.visible(*frame(here)[1:], shown())
    assert mine.words == "mine: 1 seed, up to 190 steps"


def brought(here: Path, source: object, *more: str) -> int:
    return main(["import", str(source), "mine", "toy/a", "--reference", "--licence", "own", *more])


def test_any_seeds_and_budget_are_imported_as_a_reference_which_says_so(here: Path):
    source = three(here)
    shutil.rmtree(source / "qmix/11")
    assert brought(here, source, "--label", "QMIX of 'theirs\"", "--protocol", "their rules") == 0
    (curve,) = shown()
    assert curve.words == "QMIX of 'theirs\": 2 seeds (dashed: their mean), up to 1,000 steps"
    assert curve.about == "imported from sacred, licence own: their rules"
    assert [seed.name for seed in curve.seeds] == ["3", "7"]
    assert not (here / "results/smoke").exists()  # it is no run
    assert drawing.visible(*frame(here)[1:], [curve]) == [curve]


def test_an_import_of_a_reference_refuses_what_it_cannot_say_or_read(here: Path, capsys):
    source = three(here)
    words = ["import", source, "mine", "toy/a", "--reference"]
    assert "say --licence" in refused(capsys, *words)
    assert "Unknown licence" in refused(capsys, *words, "--licence", "GPL-3.0")
    assert "one line" in refused(capsys, *words, "--licence", "MIT", "--label", "a\nb")
    assert "none of the metrics" in refused(
        capsys, *words, "--licence", "MIT", "--metric", "no=train_return"
    )
    words[3] = "toy/c"
    assert "Unknown task 'toy/c'" in refused(capsys, *words, "--licence", "MIT")
    assert "say --reference too" in refused(
        capsys, "import", source, "theirs", "toy/a", "--licence", "MIT"
    )
    assert not (here / "results").exists()


def test_the_page_says_in_a_caption_whose_the_grey_lines_are(here: Path):
    frame(here)
    assert main(["report", "--scale", "lab", "--figures", "first"]) == 0
    page = here / "results/lab/report.html"
    assert drawing.HEADING not in page.read_text()
    fetched(here)
    assert main(["report", "--scale", "lab", "--figures", "first"]) == 0
    assert f"{drawing.HEADING}: Theirs: 2 seeds" in page.read_text()


SHIPS = references.find(ROOT / "no results")
FIGURES = plan.load().figures.values()


@pytest.mark.parametrize("name", SHIPS)
def test_what_ships_names_tasks_and_metrics_that_a_figure_of_ours_draws(name: str):
    drawn = [figure.name for figure in FIGURES if references.drawn_in(figure, [SHIPS[name]])]
    assert drawn
    for curve in SHIPS[name].curves:
        simulators = {"smac": "SMAX, not SMAC", "lbf": ("Jumanji's foraging", "EPyMARL's")}
        allowed = simulators.get(curve.task.partition("/")[0], "")
        assert curve.label.startswith(allowed)
    assert SHIPS[name].licence in LICENCES and SHIPS[name].repository.startswith("https://")


@pytest.mark.parametrize("name", SHIPS)
def test_the_final_values_that_ship_are_of_the_curves_that_ship(name: str):
    with (SHIPPED / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(reference_curves.Final._fields)
    said = {(row["task"], row["metric"], row["curve"]) for row in rows}
    assert said == {(c.task, c.metric, c.label) for c in SHIPS[name].curves}
    for row in rows:
        assert row["source"].startswith(f"{SHIPS[name].source}:")
        assert row["source"].endswith(f", {SHIPS[name].licence}")
        assert 0 <= float(row["value"]) <= 1


def test_final_values_are_of_each_seed_over_the_last_part_of_its_steps(here: Path, capsys):
    fetched(here)
    capsys.readouterr()
    assert main(["reference", "finals", "theirs"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["seed"], row["value"], row["last_step"]) for row in rows] == [
        ("1", "3.0", "100"),
        ("2", "5.0", "100"),
    ]
