"""How the replay keeps an episode: as one row of bytes, which gives it back bit for bit.

Floats are kept exactly, those of a field that is mostly zeros (what nobody sees in a battle) as the
ones that are not; masks as bits, whole numbers as bytes. Loads no torch: whoever asks what an
episode takes need not wait for it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from partage.sims.buffers import INSTANT_FIELDS
from partage.sims.spec import Spec

Kind = Literal["floats", "sparse", "bits", "bytes"]
# how many of a sparse field's floats there are: an episode's row of bytes begins with these counts
COUNT = np.dtype(np.int32)
FLOAT = np.dtype(np.float32)


class Episode(NamedTuple):
    """An episode as it is kept: it never changes, so copies of a replay share it."""

    steps: int  # transitions
    data: bytes  # see `Packing`


class Ring(NamedTuple):
    """The episodes of one run that are kept, oldest first, and how many came before them."""

    first: int
    episodes: Sequence[Episode]


class Field(NamedTuple):
    """How one field is kept."""

    kind: Kind
    shape: tuple[int, ...]  # at one instant
    later: int  # instants that it has beyond the transitions: 0 or 1

    @property
    def width(self) -> int:
        """Return how many numbers it has at one instant."""
        return math.prod(self.shape)

    @property
    def row(self) -> int:
        """Return the bytes that an instant takes, a sparse field's floats left aside."""
        if self.kind == "floats":
            return FLOAT.itemsize * self.width
        return self.width if self.kind == "bytes" else -(-self.width // 8)


class Part(NamedTuple):
    """A field of one episode, as it is kept; views of the episode's bytes."""

    rows: np.ndarray  # [T, ...]: floats, bytes or packed bits
    values: np.ndarray | None  # a sparse field's floats


class Packing:
    """The fields of a replay's episodes, and their order in an episode's bytes.

    The first episode decides which fields there are, and which are sparse.
    """

    def __init__(self) -> None:
        self.fields: dict[str, Field] = {}

    def pack(self, episode: Mapping[str, np.ndarray], steps: int) -> bytes:
        """Return an episode of so many transitions as bytes.

        Fields are ``[T, ...]`` or, where `INSTANT_FIELDS` has them, ``[T + 1, ...]``.
        """
        self.fields = self.fields or described(episode)
        counts, floats, values, small = [], [], [], []
        for name, field in self.fields.items():
            x = episode[name][: steps + field.later].reshape(steps + field.later, field.width)
            if field.kind == "sparse":
                there = _is_there(x)
                counts.append(np.count_nonzero(there))
                values.append(x[there])
                small.append(np.packbits(there, axis=-1))
            elif field.kind == "floats":
                floats.append(x)
            else:
                small.append(np.packbits(x, axis=-1) if field.kind == "bits" else _bytes(name, x))
        # what is aligned to four bytes comes first
        ordered = [np.array(counts, COUNT), *floats, *values, *small]
        return b"".join(np.ascontiguousarray(x).data for x in ordered)

    def parts(self, data: bytes, steps: int) -> dict[str, Part]:
        """Return an episode's fields, not yet unpacked.

        Raises `ValueError` for bytes that are none of such an episode.
        """
        sparse = [name for name, field in self.fields.items() if field.kind == "sparse"]
        reader = _Reader(data)
        counts = dict(zip(sparse, reader.take(COUNT, len(sparse)).tolist(), strict=True))
        rows, values = {}, {}
        for name, field in self.fields.items():
            if field.kind == "floats":
                rows[name] = reader.take(FLOAT, steps + field.later, field.width)
        for name in sparse:
            values[name] = reader.take(FLOAT, counts[name])
        for name, field in self.fields.items():
            if field.kind != "floats":
                rows[name] = reader.take(np.dtype(np.uint8), steps + field.later, field.row)
        reader.end()
        return {name: Part(rows[name], values.get(name)) for name in self.fields}

    def check(self, data: bytes, steps: int) -> dict[str, Part]:
        """Return `parts`; raises `ValueError` for bytes that are no such episode."""
        parts = self.parts(data, steps)
        for name, part in parts.items():
            if part.values is not None:
                there = _places(part, self.fields[name].width)
                if np.count_nonzero(there) != len(part.values):
                    raise ValueError(f"{name} of an episode has not as many floats as bits")
        return parts

    def state_dict(self) -> dict[str, Any]:
        """Return the fields as lists."""
        return {name: [x.kind, list(x.shape), x.later] for name, x in self.fields.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the fields of a saved replay. Raises `ValueError` for what are none."""
        self.fields = {}
        for name, (kind, shape, later) in state.items():
            numbers = [*shape, later]
            if kind not in get_args(Kind) or not all(type(n) is int and n >= 0 for n in numbers):
                raise ValueError(f"{name} is kept in an unknown way: {kind} {shape}")
            self.fields[name] = Field(kind, tuple(shape), later)


class _Reader:
    """Reads arrays off a row of bytes, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, dtype: np.dtype, *shape: int) -> np.ndarray:
        """Return the next array, in the same memory."""
        count = math.prod(shape)
        end = self.place + count * dtype.itemsize
        if count < 0 or end > len(self.data):
            raise ValueError("an episode is shorter than its fields")
        taken = np.frombuffer(self.data, dtype, count, self.place) if count else np.empty(0, dtype)
        self.place = end
        return taken.reshape(shape)

    def end(self) -> None:
        """Raise `ValueError` where more follows."""
        if self.place != len(self.data):
            raise ValueError("an episode is longer than its fields")


def described(episode: Mapping[str, np.ndarray]) -> dict[str, Field]:
    """Return how each field of an episode is kept."""
    found = {}
    for name, x in episode.items():
        kind: Kind = "bytes"
        if x.dtype == bool:
            kind = "bits"
        elif x.dtype == FLOAT:
            mostly_zeros = x.ndim > 1 and _is_there(x).mean() < 0.5
            kind = "sparse" if mostly_zeros else "floats"
        elif not np.issubdtype(x.dtype, np.integer):
            raise ValueError(f"{name} is of {x.dtype}: expected float32, whole numbers or a mask")
        found[name] = Field(kind, x.shape[1:], int(name in INSTANT_FIELDS))
    return found


def _is_there(x: np.ndarray) -> np.ndarray:
    """Return which floats are to be kept: -0.0 too, so that all come back bit for bit."""
    return np.ascontiguousarray(x).view(np.int32) != 0


def _bytes(name: str, x: np.ndarray) -> np.ndarray:
    """Return whole numbers as bytes.

    Raises `ValueError` where one does not fit.
    """
    if x.size and not 0 <= int(x.min()) <= int(x.max()) < 256:
        raise ValueError(
            f"{name} is stored in a byte but holds values from {int(x.min())} to {int(x.max())}"
        )
    return x.astype(np.uint8)


def spread(part: Part, width: int) -> np.ndarray:
    """Return a sparse field ``[T, width]``: its floats at the places that the bits say, else 0."""
    there = _places(part, width)
    out = np.zeros(there.shape, FLOAT)
    out[there] = part.values
    return out


def _places(part: Part, width: int) -> np.ndarray:
    """Return where a sparse field has floats, ``[T, width]``."""
    return np.unpackbits(part.rows, axis=-1, count=width).view(bool)


def fields_of(spec: Spec, sparse: Sequence[str] = ()) -> dict[str, Field]:
    """Return the fields that an episode of every learner has; those named `sparse` are so."""
    n = spec.n_agents
    found: dict[str, tuple[Kind, tuple[int, ...]]] = {
        "obs": ("floats", (n, spec.obs_dim)),
        "state": ("floats", (spec.state_dim,)),
        "avail_actions": ("bits", (n, spec.n_actions)),
        "alive": ("bits", (n,)),
        "actions": ("bytes", (n,)),
        "terminated": ("bits", ()),
        "team_reward": ("floats", ()),
    }
    if spec.state_is_obs:
        del found["state"]
    fields = {}
    for name, (kind, shape) in found.items():
        kept: Kind = "sparse" if kind == "floats" and name in sparse else kind
        fields[name] = Field(kept, shape, int(name in INSTANT_FIELDS))
    return fields


def bytes_per_episode(
    spec: Spec, steps: int, notes: int = 0, sparse: Sequence[str] = (), seen: float = 1.0
) -> int:
    """Return the bytes that an episode of so many transitions takes in the replay.

    `notes` counts the whole numbers that a policy notes of each agent (roles, groups). Of the
    fields named `sparse` (SMAC: obs and state) only the share `seen` of the floats is kept: what
    that is, only playing tells. Without sparse fields the number is exact.
    """
    fields = fields_of(spec, sparse)
    rows = sum((steps + field.later) * field.row for field in fields.values())
    floats = sum((steps + fields[name].later) * fields[name].width for name in sparse)
    kept = FLOAT.itemsize * round(seen * floats) + COUNT.itemsize * len(sparse)
    return rows + kept + steps * notes * spec.n_agents
