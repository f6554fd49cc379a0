"""Episodes on the disk: each run's lie in chunks, files that never change once they are there.

A checkpoint names the chunks that its episodes lie in. The next one keeps those that still hold
some, and writes what is new: so it costs what was played since, not what is held. A small chunk is
written anew together with as much that is new, so that a run has few.
"""

import hashlib
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partage import _io
from partage.rl.packing import Episode, Ring

FOLDER = "episodes"  # within a run's folder of checkpoints
NAME = re.compile(r"\d{1,20}-\d{1,9}-\d{1,9}")  # the checkpoint's number, the run, which of them
RECORD = struct.Struct("<QQ")  # before each episode: its transitions, its bytes
LARGE = 1 << 26  # bytes from which on a chunk is not written anew


class Chunk(NamedTuple):
    """A file of consecutive episodes of one run."""

    file: str
    first: int  # number of its first episode
    episodes: int
    size: int  # bytes
    sha256: str

    @property
    def end(self) -> int:
        """Return the number of the episode after its last."""
        return self.first + self.episodes


class Stored(NamedTuple):
    """Where a run's episodes lie, from number `first` on; what is older is of no more use."""

    first: int
    chunks: list[Chunk]


def write(
    folder: Path, number: int, rings: Sequence[Ring], before: Sequence[Stored]
) -> list[Stored]:
    """Write what is new of each run for checkpoint `number`; return where all of it lies.

    `before` says where the episodes of these very runs lay at an earlier checkpoint. Raises
    `UserError` where the folder cannot be written.
    """
    stored = []
    for run, ring in enumerate(rings):
        chunks = _reusable(folder, ring, before[run].chunks) if before else []
        start = chunks[-1].end if chunks else ring.first
        for piece in _pieces(ring.episodes[start - ring.first :]):
            path = folder / f"{number}-{run}-{len(chunks)}"
            chunks.append(_write(path, start, piece))
            start += len(piece)
        stored.append(Stored(ring.first, chunks))
    return stored


def _reusable(folder: Path, ring: Ring, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks that stay: what follows the last of them is to be written."""
    alive = [chunk for chunk in chunks if chunk.end > ring.first]
    for chunk in alive:
        path = folder / chunk.file
        if not path.is_file() or path.stat().st_size != chunk.size:
            return []  # somebody deleted it: all is written again
    end = alive[-1].end if alive else ring.first
    new = sum(map(_size, ring.episodes[end - ring.first :]))
    while alive and alive[-1].size < LARGE and alive[-1].size <= new:
        new += alive.pop().size
    return alive


def _size(episode: Episode) -> int:
    """Return the bytes that an episode takes in a file."""
    return RECORD.size + len(episode.data)


def _pieces(episodes: Sequence[Episode]) -> Iterator[Sequence[Episode]]:
    """Cut episodes into stretches that are as large as a chunk should be at most."""
    start = size = 0
    for place, episode in enumerate(episodes):
        size += _size(episode)
        if size >= LARGE:
            yield episodes[start : place + 1]
            start, size = place + 1, 0
    if start < len(episodes):
        yield episodes[start:]


def _write(path: Path, first: int, episodes: Sequence[Episode]) -> Chunk:
    """Write episodes, uncopied, as one chunk."""
    digest, parts = hashlib.sha256(), []
    for steps, data in episodes:
        parts += [RECORD.pack(steps, len(data)), data]
    for part in parts:
        digest.update(part)
    _io.write(path, *parts)
    size = sum(map(_size, episodes))
    return Chunk(path.name, first, len(episodes), size, digest.hexdigest())


def read(folder: Path, stored: Sequence[Stored]) -> list[Ring]:
    """Return the episodes of each run.

    Raises `ValueError` or `OSError` where one of their chunks is not what it was when written.
    """
    rings = []
    for first, chunks in stored:
        episodes: list[Episode] = []
        for chunk in chunks:
            episodes += _read(folder / chunk.file, chunk, first)
        rings.append(Ring(first, episodes))
    return rings


def _read(path: Path, chunk: Chunk, first: int) -> list[Episode]:
    """Return a chunk's episodes from number `first` on, each read into its own memory."""
    if not path.is_file() or path.stat().st_size != chunk.size:
        raise ValueError(f"{path.name} is missing or cut short")
    digest, episodes, number = hashlib.sha256(), [], chunk.first
    with open(path, "rb") as file:
        while head := file.read(RECORD.size):
            digest.update(head)
            steps, size = RECORD.unpack(head) if len(head) == RECORD.size else (0, chunk.size)
            data = file.read(min(size, chunk.size))
            digest.update(data)
            if number >= first:  # what is older is no longer held
                episodes.append(Episode(steps, data))
            number += 1
    if digest.hexdigest() != chunk.sha256 or number != chunk.end:
        raise ValueError(f"{path.name} is not what was written")
    return episodes


def as_plain(stored: Sequence[Stored]) -> list[Any]:
    """Return where episodes lie as JSON has it."""
    return [{"first": x.first, "chunks": [chunk._asdict() for chunk in x.chunks]} for x in stored]


def from_plain(found: Any) -> list[Stored]:
    """Return where episodes lie. Raises `ValueError` or `TypeError` for what `as_plain` is not."""
    _io.check_plain(found)
    if not isinstance(found, list):
        raise ValueError("no list of chunks")
    stored = []
    for each in found:
        chunks = [Chunk(**chunk) for chunk in each["chunks"]]
        numbers, expected = [each["first"]], each["first"]
        for chunk in chunks:
            numbers += [chunk.first, chunk.episodes, chunk.size]
            follows = chunk.first <= expected if chunk is chunks[0] else chunk.first == expected
            if not NAME.fullmatch(chunk.file) or not follows:
                raise ValueError(f"a chunk {chunk.file!r} from episode {chunk.first} on")
            expected = chunk.end
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("chunks of less than no episodes")
        stored.append(Stored(each["first"], chunks))
    return stored


def remove(folder: Path, but: Sequence[str] = ()) -> None:
    """Remove all chunks that are not named in `but`, and the folder if it is empty."""
    _io.sweep(folder)
    if folder.is_dir():
        left = list(folder.iterdir())
        for path in left:
            if NAME.fullmatch(path.name) and path.name not in but:
                path.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
