"""How `benchmarks.fuzz` breaks config files, command lines and files of results."""

import copy
import json
import math
import os
import random
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

NO_CACHE = shutil.ignore_patterns("__pycache__")
NEEDED = {
    "algorithms": ("label", "colour"),
    "figures": ("paper", "title", "caption", "tasks", "algorithms", "metric", "x"),
    "tables": ("paper", "title", "tasks"),
    "tasks": ("task",),
    "snapshots": ("paper", "title", "caption", "task", "seed", "step", "pictures"),
}
BAD_NAMES = ("..", "a/b", "/tmp/x", "", "\u0007", "x" * 300, "-x", "a b")
MAYBE = (0, 1, 2**62, 2**64, "", "x", [], {}, True, "é", 0.5, "all", ["x"], 1e300)
FILES = ("recipe.json", "record.json", "curve.parquet", "policy.pt", "best.pt", "absolute.json")


def written(value: Any) -> str:
    """Return a value as TOML writes it, tables in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf"
    return json.dumps(value)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all plain values in nested tables and lists."""
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    else:
        return [path]
    found = []
    for key, each in inner:
        found += leaves(each, (*path, key))
    return found


def put(content: Any, path: Sequence[Any], value: Any) -> None:
    """Set the value at a path."""
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


def at(content: Any, path: Sequence[Any]) -> Any:
    """Return the value at a path."""
    for key in path:
        content = content[key]
    return content


def sheet(text: str, stem: str, rng: random.Random) -> tuple[bytes, str]:
    """Return a config file, broken; and why it has to be refused, "" where it may be legal."""
    content = copy.deepcopy(tomllib.loads(text))
    kind = rng.randrange(8)
    if not content or kind == 0:
        return bytes_broken(text, rng), ""
    entry = rng.choice(sorted(content))
    path = rng.choice(leaves(content))
    number = type(at(content, path)) in (int, float)
    forbidden = ""
    if kind == 1:
        put(content, path, rng.choice([date(2026, 11, 26), [{}], {"x": [[]]}]))
        forbidden = f"wrong type at {path}"
    elif kind == 2:
        content[entry]["zz_unknown"] = 1
        forbidden = f"unknown key in {entry}"
    elif kind == 3 and number:
        put(content, path, rng.choice([math.nan, math.inf, -1, -0.5]))
        free = "facts" in path or "options" in path
        forbidden = "" if free else f"out of range at {path}"
    elif kind == 4:
        key = rng.choice(NEEDED.get(stem) or sorted(content[entry]))
        content[entry].pop(key)
        forbidden = f"{entry} lacks {key}"
    elif kind == 5:
        name = rng.choice(BAD_NAMES)
        content[name] = content.pop(entry)
        forbidden = f"{entry} is called {name!r}"
    elif kind == 6:
        put(content, path, rng.choice(MAYBE))
    else:
        content[entry] = rng.choice(MAYBE)
        forbidden = "" if content[entry] == {} else f"{entry} is no table"
    lines = [f"{json.dumps(name)} = {written(value)}" for name, value in content.items()]
    if stem not in NEEDED:  # what was chosen of other trials than today's is no fault
        forbidden = ""
    return ("\n".join(lines) + "\n").encode(), forbidden


def bytes_broken(text: str, rng: random.Random) -> bytes:
    """Return a text cut, overwritten, or nested without end."""
    payload = bytearray(text.encode() or b"\n")
    kind = rng.randrange(3)
    if kind == 0:
        return bytes(payload[: rng.randrange(len(payload))])
    if kind == 1:
        for _ in range(8):
            payload[rng.randrange(len(payload))] = rng.randrange(256)
        return bytes(payload)
    return bytes(payload) + b"\nx = " + b"[" * rng.choice([50, 900, 100_000])


ODD = (
    "", " ", "-1", "0", "1", "nan", "1e400", "9" * 5000, "x" * 5000, "..", "../..", "/",
    "/dev/null",
    "/proc/self/mem", "a=b=c", "=", "a=", "fuse=nan", "lr=[[", "\udcff", "é", "a\nb", "1,1", "-1,2",
    ",", "all", "fps", "mpe/15a_3c", "results", "smoke", "paper", "package", "cuda:99", "--", "{}",
    "$(id)", "0x" + "f" * 5000, "\x00", "none", "src/partage", "recipe.json",
)  # fmt: skip
OPTIONS = (
    "--scale", "--engine", "--results", "--seeds-per-run", "--figures", "--write", "--seeds",
    "--steps", "--set", "--device", "--episodes", "--kind", "--root", "--out", "--metric", "--runs",
    "--list", "--learner", "--family", "--tolerance", "--wait", "--checkpoint-every", "--help",
    "--version", "--runs-per-gpu", "--zz",
)  # fmt: skip
PLACES = ("results", "results/x", "/dev/null", "/proc/x", "\udcff")


# take long by design, where what they are given is right
LASTING = ("calibrate", "crate", "redraw", "reproduce")


def command(names: Sequence[str], rng: random.Random) -> list[str]:
    """Return the words of a command line; `run` gets no algorithm that exists, so nothing trains.

    Nothing is written but below results.
    """
    name = rng.choice([*names, *names, *ODD[:8]])
    words = [name, *rng.choices(ODD, k=rng.randrange(4))]
    for _ in range(rng.randrange(4)):
        option = rng.choice(OPTIONS)
        if option in ("--out", "--root", "--list", "--results"):
            words += [
                option,
                rng.choice(["results", "results/x", "/dev/null", "/proc/x", "\udcff"]),
            ]
        else:
            words += [option, rng.choice(ODD)]
    if name == "run":
        words = [word if word != "fps" else "fsp" for word in words]
    if name in LASTING:
        words.append("--zz")
    return words


def _cut(path: Path, kept: bytes, other: Path, rng: random.Random) -> None:
    path.write_bytes(kept[: rng.randrange(1, len(kept))])


def _garble(path: Path, kept: bytes, other: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(max(len(kept) // 2, 100)))


def _folder(path: Path, kept: bytes, other: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _another(path: Path, kept: bytes, other: Path, rng: random.Random) -> None:
    path.write_bytes(other.read_bytes() if other.is_file() else b"{}")


def _pipe(path: Path, kept: bytes, other: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


Damage = Callable[[Path, bytes, Path, random.Random], Any]
DAMAGES: Mapping[str, Damage] = {
    "empty": lambda path, *_: path.write_bytes(b""),
    "truncated": _cut,
    "garbage": _garble,
    "a folder": _folder,
    "a pipe": _pipe,
    "another run's": _another,
    "deeply nested": lambda path, *_: path.write_bytes(b'{"recipe":' * 200_000),
    "an empty object": lambda path, *_: path.write_bytes(b"{}"),
    "a list": lambda path, *_: path.write_bytes(b"[1, NaN, 1e999]"),
    "no permission": lambda path, *_: path.chmod(0),
}


def mend(path: Path, kept: bytes) -> None:
    """Put a damaged file back."""
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(kept)


def readers(run: str) -> list[list[str]]:
    """Return the commands that read a run's files; none of them trains."""
    return [
        ["list", "runs"],
        ["stale"],
        ["verify", run, "--steps", "1"],
        ["distance", run, "--episodes", "1", "--kind", "vanilla_hellinger"],
        ["episode", run],
        ["absolute", run, "--episodes", "1"],
        ["export", "--figures", "lbf-baselines"],
        ["equal-code", "--runs", run, "--learner", "none", "--list", "results/list.toml"],
    ]
