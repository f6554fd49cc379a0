"""`make crate`: finished runs as a Workflow Run RO-Crate."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from small import ROOT

from partage.cli.parser import main

RUN = "lab/runs/qmix/mpe/simple_spread_v3/0-2"


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """One published run with its figure, and what a trainer may have left beside it."""
    folder = tmp_path_factory.mktemp("published")
    for part in (RUN, "lab/mpe-learning"):
        shutil.copytree(ROOT / "results/published" / part, folder / part)
    for left in ("kept/curve.parquet", "checkpoint/a", "lock", "live.csv", ".curve.tmp"):
        (folder / RUN / left).parent.mkdir(exist_ok=True)
        (folder / RUN / left).write_bytes(b"left")
    return folder


@pytest.fixture(scope="module")
def archive(published: Path) -> zipfile.ZipFile:
    path = published.parent / "crate.zip"
    assert main(["crate", str(published), "--out", str(path), "--author", "N. N."]) == 0
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def entities(archive: zipfile.ZipFile) -> dict[str, dict[str, Any]]:
    graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def pointers(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [value["@id"]]
    if isinstance(value, list):
        return [each["@id"] for each in value if isinstance(each, dict)]
    return []


def test_every_file_stands_in_it_with_its_size_and_sum(archive, entities) -> None:
    names = set(archive.namelist()) - {"ro-crate-metadata.json"}
    assert names == set(pointers(entities["./"]["hasPart"]))
    assert {f"results/{RUN}/curve.parquet", "workflow/Snakefile", "README.md"} < names
    assert "workflow/config/tasks.toml" in names
    for name in names:
        content, entity = archive.read(name), entities[name]
        assert entity["contentSize"] == str(len(content))
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
    run = {Path(name).name for name in names if name.startswith(f"results/{RUN}/")}
    assert run == {"recipe.json", "curve.parquet", "record.json"}


def test_what_it_points_to_is_in_it_or_has_an_address(entities) -> None:
    for entity in entities.values():
        for value in entity.values():
            for name in pointers(value):
                assert name in entities or name.startswith("https://"), (entity["@id"], name)


def test_it_says_who_made_each_run_when_by_which_code(archive, entities) -> None:
    made = json.loads(archive.read(f"results/{RUN}/record.json"))
    training, workflow = entities[f"#results/{RUN}"], entities["#results/lab"]
    assert entities["#author"]["name"] == "N. N."
    for action in (training, workflow):
        assert action["@type"] == "CreateAction"
        assert (action["startTime"], action["endTime"]) == (made["started"], made["finished"])
        assert pointers(action["object"]) == [f"results/{RUN}/recipe.json"]
        assert f"results/{RUN}/curve.parquet" in pointers(action["result"])
    assert pointers(workflow["instrument"]) == pointers(entities["./"]["mainEntity"])
    [software] = pointers(training["instrument"])
    assert entities[software]["softwareVersion"] == made["code"]["commit"]
    assert entities["./"]["datePublished"] == made["finished"]


def test_the_same_files_make_the_same_bytes(published: Path, archive, tmp_path: Path) -> None:
    copy, again = tmp_path / "copied", tmp_path / "crate.zip"
    shutil.copytree(published, copy)
    (copy / RUN / "record.json").touch()
    assert main(["crate", str(copy), "--out", str(again), "--author", "N. N."]) == 0
    assert again.read_bytes() == Path(archive.filename or "").read_bytes()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["nowhere"], "There is no folder nowhere"),
        (["--licence", "a licence"], "SPDX"),
        (["--out", "crate"], "ends in .zip"),
    ],
)
def test_what_cannot_be_packed_is_one_sentence(asked: list[str], says: str, capsys) -> None:
    assert main(["crate", *asked]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and says in said


def test_a_run_of_others_is_left_out_and_said(published: Path, tmp_path: Path, capsys) -> None:
    copy, out = tmp_path / "copied", tmp_path / "crate.zip"
    shutil.copytree(published, copy)
    theirs = copy / "lab/runs/theirs/mpe/simple_spread_v3/0-2"
    shutil.copytree(copy / RUN, theirs)
    made = json.loads((theirs / "record.json").read_text())
    del made["started"], made["finished"]
    made["imported"] = {"source": "elsewhere", "at": "2026-01-01"}
    (theirs / "record.json").write_text(json.dumps(made))
    assert main(["crate", str(copy), "--out", str(out)]) == 0
    assert "1 runs are left out: they are imported" in capsys.readouterr().out
    assert not any("theirs" in name for name in zipfile.ZipFile(out).namelist())
    shutil.rmtree(copy / RUN)
    assert main(["crate", str(copy), "--out", str(out)]) == 2
    assert "can be packed" in capsys.readouterr().err


def test_a_run_whose_curve_is_another_is_refused(published: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(published, tmp_path / "copied")
    (tmp_path / "copied" / RUN / "curve.parquet").write_bytes(b"another")
    out = tmp_path / "crate.zip"
    assert main(["crate", str(tmp_path / "copied"), "--out", str(out)]) == 2
    assert "is corrupt" in capsys.readouterr().err and not out.exists()
