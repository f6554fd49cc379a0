"""Episodes on the disk: what is new is written, and a kill at any moment loses no checkpoint."""

import contextlib
import hashlib
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from partage import _io
from partage.errors import UserError
from partage.rl.packing import Episode, Ring
from partage.runs import checkpoint, chunks

CAPACITY = 40


class Seen:
    """Runs that play episodes of random lengths and keep the last ones."""

    def __init__(self, runs: int = 2, seed: int = 0) -> None:
        self.draw = random.Random(seed)
        self.all: list[list[Episode]] = [[] for _ in range(runs)]

    def play(self, episodes: int) -> "Seen":
        for run in self.all:
            for _ in range(episodes):
                size = self.draw.randrange(100)
                run.append(Episode(size, self.draw.randbytes(size)))
        return self

    @property
    def rings(self) -> list[Ring]:
        return [Ring(max(len(x) - CAPACITY, 0), x[-CAPACITY:]) for x in self.all]


def read(folder: Path) -> checkpoint.Saved:
    saved = checkpoint.load_whole(folder)
    assert saved is not None
    return saved


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("checkpoint/episodes/*")}


def test_episodes_come_back_whatever_was_saved_and_dropped_before(tmp_path: Path) -> None:
    seen, stored, most = Seen(), [], 0
    for number in range(60):
        seen.play(number % 7)
        stored = checkpoint.save(tmp_path, b"%d" % number, seen.rings, stored)
        saved = read(tmp_path)
        assert saved == (b"%d" % number, seen.rings, stored)
        most = max(most, len(files(tmp_path)))
    assert most < 30  # small chunks are joined: there are never as many as saves


def test_a_checkpoint_writes_only_the_episodes_that_are_new(tmp_path: Path, monkeypatch) -> None:
    seen, written = Seen().play(30), []
    stored = checkpoint.save(tmp_path, b"", seen.rings)
    real = _io.write

    def write(path: Path, *parts: _io.Bytes) -> None:
        written.append(sum(len(part) for part in parts if path.parent.name == "episodes"))
        real(path, *parts)

    monkeypatch.setattr(_io, "write", write)
    stored = checkpoint.save(tmp_path, b"", seen.play(3).rings, stored)
    new = [episode for run in seen.all for episode in run[-3:]]
    assert sum(written) == sum(16 + len(episode.data) for episode in new)
    written.clear()
    checkpoint.save(tmp_path, b"", seen.rings, stored)
    assert not any(written)


def test_a_large_chunk_is_never_written_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(chunks, "LARGE", 500)
    episodes = [Episode(n, bytes(234)) for n in range(30)]  # two of them are a large chunk
    stored = checkpoint.save(tmp_path, b"", [Ring(0, episodes[:10])])
    before = files(tmp_path)
    checkpoint.save(tmp_path, b"", [Ring(0, episodes)], stored)
    assert len(before) == 5 and before.items() <= files(tmp_path).items()
    assert [len(data) for data in files(tmp_path).values()] == [500] * 15
    assert read(tmp_path).rings == [Ring(0, episodes)]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("name", ["replace", "unlink", "fsync"])
@pytest.mark.parametrize("at", range(9))
def test_a_kill_at_any_moment_leaves_the_checkpoint_before_or_the_new_one(
    name: str, at: int, tmp_path: Path, monkeypatch
) -> None:
    seen = Seen()
    stored: list[chunks.Stored] = []
    kept: list[tuple[bytes, list[Ring]]] = []
    for number in range(3):
        kept.append((b"%d" % number, seen.play(17).rings))
        payload, rings = kept[-1]
        stored = checkpoint.save(tmp_path, payload, rings, stored)
    owner: Any = Path if name == "unlink" else os
    real, calls = getattr(owner, name), 0

    def end(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > at:
            raise Killed
        return real(*arguments, **named)

    new = b"new", seen.play(17).rings
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, end)
        with contextlib.suppress(Killed):
            checkpoint.save(tmp_path, *new, stored)
    assert read(tmp_path)[:2] in (new, kept[-1])
    newest = checkpoint._newest(tmp_path, lambda slot: slot.path)
    assert newest is not None
    newest.write_bytes(b"")  # and the one before that is whole as well
    assert read(tmp_path)[:2] in (kept[-1], kept[-2])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


harmed = pytest.mark.parametrize("harm", [cut, flip, Path.unlink, folder, pipe])


@harmed
def test_where_new_episodes_are_not_whole_the_checkpoint_before_is_used(
    harm: Callable[[Path], Any], tmp_path: Path, capsys
) -> None:
    seen = Seen().play(20)
    before, stored = seen.rings, checkpoint.save(tmp_path, b"before", seen.rings)
    old = files(tmp_path)
    checkpoint.save(tmp_path, b"after", seen.play(2).rings, stored)
    harm(tmp_path / "checkpoint/episodes" / next(iter(files(tmp_path).keys() - old.keys())))
    assert read(tmp_path)[:2] == (b"before", before)
    assert f"{tmp_path}/checkpoint/b is corrupt" in capsys.readouterr().err


@harmed
def test_where_old_episodes_are_not_whole_the_user_decides(
    harm: Callable[[Path], Any], tmp_path: Path
) -> None:
    seen = Seen().play(20)
    stored = checkpoint.save(tmp_path, b"before", seen.rings)
    checkpoint.save(tmp_path, b"after", seen.play(2).rings, stored)
    harm(min((tmp_path / "checkpoint/episodes").iterdir()))
    with pytest.raises(UserError, match="No whole checkpoint is left") as refusal:
        read(tmp_path)
    assert "\n" not in str(refusal.value) and "1-0-0" in str(refusal.value)


def test_where_somebody_deleted_the_episodes_all_are_written_again(tmp_path: Path) -> None:
    seen = Seen().play(20)
    stored = checkpoint.save(tmp_path, b"", seen.rings)
    for path in (tmp_path / "checkpoint/episodes").iterdir():
        path.unlink()
    checkpoint.save(tmp_path, b"new", seen.play(2).rings, stored)
    assert read(tmp_path)[:2] == (b"new", seen.rings)


def test_a_full_disk_leaves_the_checkpoint_before_and_no_litter(
    tmp_path: Path, monkeypatch
) -> None:
    seen = Seen().play(20)
    before, stored = seen.rings, checkpoint.save(tmp_path, b"before", seen.rings)
    there = files(tmp_path)
    real, calls = _io.os.fsync, 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(28, "No space left on device")
        real(handle)

    with monkeypatch.context() as patched:
        patched.setattr(_io.os, "fsync", full)
        with pytest.raises(UserError, match="No space left on device"):
            checkpoint.save(tmp_path, b"after", seen.play(9).rings, stored)
    assert files(tmp_path) == there and read(tmp_path)[:2] == (b"before", before)


@pytest.mark.parametrize(
    "names",
    [
        b"[",
        b"{}",
        b"7",
        b'[{"first":0}]',
        b'[{"first":-1,"chunks":[]}]',
        b'[{"first":0,"chunks":[{"file":"../../x","first":0,"episodes":1,"size":1,"sha256":""}]}]',
        b'[{"first":0,"chunks":[{"file":"1-0-0","first":3,"episodes":1,"size":1,"sha256":""}]}]',
        b'[{"first":0,"chunks":[{"file":"1-0-0","first":0,"episodes":1,"size":"","sha256":""}]}]',
        b"[" * 100_000,
    ],
)
def test_crafted_names_of_chunks_are_refused_in_one_sentence(names: bytes, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"state" + names).digest()
    header = checkpoint.HEADER.pack(checkpoint.MAGIC, 1, 5, digest)
    _io.write(tmp_path / "checkpoint/a", header, b"state", names)
    with pytest.raises(UserError, match="No whole checkpoint is left") as refusal:
        read(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_chunk_is_read_without_more_memory_than_its_file_has_bytes(tmp_path: Path) -> None:
    crafted = chunks.RECORD.pack(1, 2**60) + b"x"
    path = tmp_path / "1-0-0"
    path.write_bytes(crafted)
    digest = hashlib.sha256(crafted).hexdigest()
    whole = chunks.Chunk(path.name, 0, 1, len(crafted), digest)
    (ring,) = chunks.read(tmp_path, [chunks.Stored(0, [whole])])
    assert ring.episodes == [Episode(1, b"x")]  # the replay says that it is none


@pytest.mark.parametrize(("asked", "took", "pause"), [(300, 1, 300), (300, 30, 970), (0, 9, 0)])
def test_checkpoints_take_three_percent_of_the_time_unless_one_is_asked_for_at_every_update(
    asked: float, took: float, pause: float
) -> None:
    assert checkpoint.seconds_until_next(asked, took) == pytest.approx(pause)
    assert took / (took + pause) <= 0.0301 or not asked


def test_a_cleared_checkpoint_leaves_no_episodes(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, b"", Seen().play(9).rings)
    checkpoint.clear(tmp_path)
    assert not (tmp_path / "checkpoint").exists()


def test_saving_takes_no_memory_and_loading_no_more_than_what_is_held(tmp_path: Path) -> None:
    held = 200 * 100_000
    episodes = [Episode(1, os.urandom(100_000)) for _ in range(200)]
    tracemalloc.start()
    try:
        checkpoint.save(tmp_path, b"", [Ring(0, episodes)])
        saving = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        rings = read(tmp_path).rings
        loading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rings == [Ring(0, episodes)]
    assert saving < 0.05 * held and held < loading < 1.1 * held
