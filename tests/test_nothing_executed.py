"""No code runs from data: what the source may call, and what crafted files come to."""

import ast
import io
import os
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from running import lay, recipe

from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.runs import checkpoint, evaluate, record, train

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("src", "workflow", "containers", "benchmarks", "examples")
MODULES = [
    "_pickle",
    "cPickle",
    "cloudpickle",
    "builtins",
    "codeop",
    "dill",
    "joblib",
    "jsonpickle",
    "marshal",
    "pickle",
    "runpy",
    "ruamel",
    "shelve",
    "yaml",
]
BUILTINS = ("eval", "exec", "compile", "__import__", "execfile")
METHODS = ("read_pickle", "to_pickle", "read_hdf", "unsafe_load", "full_load", "add_safe_globals")
# the pipe between a trainer and its own worker processes
PIPE = {"src/partage/sims/workers/processes.py", "src/partage/sims/workers/worker.py"}


def faults(source: str) -> Iterator[str]:
    """What in a program could run code from data, wherever an import has put it."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=module, names=names):
                if (module or "").split(".")[0] in MODULES:
                    yield module or ""
                loaders = {"load", "system", "popen", *METHODS} & {each.name for each in names}
                if (module or "").split(".")[0] in ("torch", "numpy", "pandas", "os"):
                    yield from sorted(loaders)
            case ast.Name(id=name) if name in BUILTINS:
                yield name
            case ast.Attribute(attr=name) if name in METHODS:
                yield name
            case ast.Attribute(attr="system" | "popen" as name, value=owner):
                if root(owner) in aliases(tree, "os"):
                    yield name
            case ast.Constant(value=str(text)) if text in MODULES:
                yield f"{text!r}"
            case ast.keyword(arg="allow_pickle" | "weights_only" | "shell" as name, value=value):
                allowed = name == "weights_only"
                if not (isinstance(value, ast.Constant) and value.value is allowed):
                    yield f"{name}="
            case ast.Call(func=ast.Attribute(attr="load", value=owner), keywords=keywords):
                safe = "weights_only" in {each.arg for each in keywords}
                if not safe and root(owner) in aliases(tree, "torch"):
                    yield "torch.load"
    used = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    if "FootballEnvCore" in used and "set_state" in used:
        yield "set_state"


def root(node: ast.expr) -> str:
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def aliases(tree: ast.AST, package: str) -> set[str]:
    """Every name that an import of a package, or of a part of it, goes by."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            for each in node.names:
                if (module or each.name).split(".")[0] == package:
                    found.add(each.asname or each.name.split(".")[0])
    return found


def test_the_source_calls_nothing_that_runs_code_from_data() -> None:
    found = {}
    for place in PLACES:
        for path in sorted((ROOT / place).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            said = set(faults(path.read_text())) - ({"pickle"} if name in PIPE else set())
            if said:
                found[name] = said
    assert not found


def test_the_workflow_calls_nothing_that_runs_code_from_data() -> None:
    files = [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk")]
    words = re.compile(r"\b(pickle|marshal|shelve|dill|joblib|yaml\.|eval\(|exec\(|compile\()")
    assert len(files) > 2
    assert not [path.name for path in files if words.search(path.read_text())]


@pytest.mark.parametrize(
    "program",
    [
        "import pickle as p",
        "from pickle import loads",
        "import importlib; importlib.import_module('marshal')",
        "run = eval",
        "exec(text)",
        "compile(text, '', 'exec')",
        "import pandas as pd; pd.read_pickle(path)",
        "from pandas import read_pickle as r",
        "import numpy as np; np.load(path, allow_pickle=True)",
        "import numpy as np; np.load(path, allow_pickle=given)",
        "import torch; torch.load(path)",
        "import torch as t; t.load(path, weights_only=False)",
        "from torch import serialization as s; s.load(path)",
        "import torch; torch.jit.load(path)",
        "from torch import load",
        "import yaml",
        "import subprocess; subprocess.run(text, shell=True)",
        "import os; os.system(text)",
        "football_env_core.FootballEnvCore(c).set_state(text)",
    ],
)
def test_what_would_run_code_is_found_under_any_name(program: str) -> None:
    assert list(faults(program))


class Bomb:
    """Unpickled, it makes a folder: the mark that code has run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_the_bomb_goes_off_where_it_is_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "mark")))
    assert (tmp_path / "mark").is_dir()


def zipped(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def before_zips(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


every_format = pytest.mark.parametrize("written", [zipped, before_zips, pickle.dumps])
FIELDS = [
    "recipe",
    "learner",
    "metrics",
    "best",
    "env",
    "test_env",
    "within_episode",
    "memory",
    "resumed",
    "code",
    "started",
    "spent",
]


def refused(work: Callable[[], Any]) -> str:
    """The one sentence with which it is refused."""
    with pytest.raises(UserError) as refusal:
        work()
    said = str(refusal.value)
    assert "\n" not in said and said.endswith(".")
    return said


together = pytest.mark.xdist_group("begun")  # what the tests share is made once
Begin = Callable[[Path, Recipe], dict[str, Any]]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Begin:
    """What lays a run that has come to its first checkpoint, and returns what that holds."""
    made: dict[str, Path] = {}

    def lay_begun(folder: Path, one: Recipe) -> dict[str, Any]:
        if one.hash not in made:
            made[one.hash] = tmp_path_factory.mktemp("begun")
            begin(made[one.hash], one)
        shutil.copytree(made[one.hash], folder, dirs_exist_ok=True)
        return torch.load(io.BytesIO(checkpoint.load(folder) or b""), weights_only=True)

    return lay_begun


def begin(folder: Path, one: Recipe) -> None:
    """Train up to the first checkpoint."""
    lay(folder, one)
    training = train.Training(one)
    training.advance()
    training.save(folder)
    training.env.close()


def save_instead(folder: Path, state: dict[str, Any]) -> None:
    """Lay another state beside the episodes of the last checkpoint."""
    saved = checkpoint.load_whole(folder)
    assert saved is not None
    checkpoint.save(folder, zipped(state), saved.rings, saved.stored)


@every_format
@pytest.mark.parametrize("field", [None, *FIELDS])
def test_a_crafted_checkpoint_is_refused_and_runs_nothing(
    field: str | None, written: Callable[[Any], bytes], tmp_path: Path
) -> None:
    one = recipe("a2c")
    lay(tmp_path, one)
    bomb = Bomb(tmp_path / "mark")
    state = dict.fromkeys(FIELDS, 0) | {"recipe": one.hash}
    checkpoint.save(tmp_path, written(bomb if field is None else state | {field: bomb}))
    said = refused(lambda: train.run(tmp_path / "recipe.json"))
    assert "corrupt" in said and "delete that folder to train this run from its start" in said
    assert not (tmp_path / "mark").exists()
    said = refused(lambda: evaluate.load_policies(tmp_path, one))
    assert "corrupt" in said and not (tmp_path / "mark").exists()


@together
def test_a_crafted_replay_is_refused_and_runs_nothing(tmp_path: Path, begun: Begin) -> None:
    state = begun(tmp_path, recipe("qmix"))
    assert state["replay"]["obs"]
    state["replay"]["obs"] = Bomb(tmp_path / "mark")
    save_instead(tmp_path, state)
    assert "corrupt" in refused(lambda: train.run(tmp_path / "recipe.json"))
    assert not (tmp_path / "mark").exists()


def football() -> Any:
    reason = "gfootball is not installed: `make football` adds it"
    return pytest.importorskip("gfootball", reason=reason)


@together
@pytest.mark.parametrize(
    "task", ["lbf/5x5-2p-1f-v3", "mpe/15a_3c", "grf/academy_3_vs_1_with_keeper"]
)
@pytest.mark.parametrize("which", ["env", "test_env"])
@pytest.mark.parametrize("old", [True, False], ids=["of older code", "crafted"])
def test_pickles_in_a_checkpoints_simulators_are_refused_and_not_unpickled(
    task: str, which: str, old: bool, tmp_path: Path, begun: Begin
) -> None:
    if task.startswith("grf"):
        football()
    few: dict[str, Any] = {"settings": {"copies": 1}, "test_episodes": 1, "options": {}}
    one = recipe("a2c", [0], task=task, engine="package", **few)
    state = begun(tmp_path, one)
    singles = state[which]["sim"]["singles"]
    singles[0] = pickle.dumps((1, b"", 2) if old else Bomb(tmp_path / "mark"))
    checkpoint.save(tmp_path, zipped(state))
    said = refused(lambda: train.run(tmp_path / "recipe.json"))
    assert "A simulator's saved state is JSON of" in said and "delete that folder" in said
    assert not (tmp_path / "mark").exists()


@every_format
@pytest.mark.parametrize("field", [None, "recipe", "learner", "states", "steps", "marks"])
def test_crafted_policies_are_refused_and_run_nothing(
    field: str | None, written: Callable[[Any], bytes], tmp_path: Path
) -> None:
    one = recipe("a2c")
    lay(tmp_path, one)
    bomb = Bomb(tmp_path / "mark")
    payload = written(bomb if field is None else {"recipe": one.hash} | {field: bomb})
    for name, work in (
        ("policy.pt", lambda: evaluate.load_policies(tmp_path, one)),
        ("best.pt", lambda: evaluate.absolute(tmp_path)),
    ):
        (tmp_path / name).write_bytes(payload)
        assert "corrupt" in refused(work)
    assert not (tmp_path / "mark").exists()


def parquet_of_a_python_type(bomb: Bomb) -> bytes:
    """Parquet whose column names a Python class, pickled: older pyarrow unpickled it."""
    notes = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(bomb),
    }
    schema = pa.schema([pa.field("seed", pa.int64(), metadata=notes)])
    buffer = io.BytesIO()
    pq.write_table(pa.table([pa.array([1])], schema=schema), buffer)
    return buffer.getvalue()


def parquet_with_pandas_notes(bomb: Bomb) -> bytes:
    """Parquet whose notes for pandas are a pickle."""
    table = pa.table({"seed": [1]}).replace_schema_metadata({b"pandas": pickle.dumps(bomb)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["curve.parquet", "record.json", "recipe.json"])
@pytest.mark.parametrize(
    "crafted", [pickle.dumps, zipped, parquet_of_a_python_type, parquet_with_pandas_notes]
)
def test_a_crafted_outcome_is_refused_and_runs_nothing(
    crafted: Callable[[Any], bytes], name: str, tmp_path: Path, made: Path
) -> None:
    for file in made.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    payload = crafted(Bomb(tmp_path / "mark"))
    (tmp_path / name).write_bytes(payload)
    if name == "recipe.json":
        refused(lambda: Recipe.load(tmp_path / name))
    else:
        refused(lambda: record.read(tmp_path))
    assert not (tmp_path / "mark").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("made")
    train.run(lay(folder, recipe("a2c", steps=100, test_every=0)))
    record.read(folder)
    return folder


@together
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metrics", "env_steps"), "x"),
        (("metrics", "env_steps"), torch.zeros(3, dtype=torch.int64)),
        (("metrics", "next_mark", "log"), []),
        (("metrics", "next_mark", "log"), [None]),
        (("metrics", "recent_returns"), [["x"]]),
        (("metrics", "assignments"), {"front": "x"}),
        (("metrics", "points"), [(0, 0, 0, None, 1.0)]),
        (("metrics", "returns_so_far"), torch.zeros(1).expand(2**40)),
        (("best", "marks"), [None]),
        (("best", "states"), ["x"]),
        (("learner", "optimiser"), {"param_groups": [{"lr": None}]}),  # as older code saved it
        (("learner", "optimiser", "kept"), {"square_avg": None}),
        (("learner", "optimiser", "kept"), {"square_avg": torch.zeros(3)}),
        (("learner", "optimiser", "kept"), ["x"]),
        (("learner", "steps"), torch.zeros(1).to_sparse()),
    ],
)
def test_a_checkpoint_whose_parts_are_of_another_kind_is_refused_in_one_sentence(
    path: tuple[str, ...], value: Any, tmp_path: Path, begun: Begin
) -> None:
    state = begun(tmp_path, recipe("qmix"))
    *way, last = path
    place = state
    for name in way:
        place = place[name]
    place[last] = value
    save_instead(tmp_path, state)
    said = refused(lambda: train.run(tmp_path / "recipe.json"))
    assert "does not fit today's code" in said
