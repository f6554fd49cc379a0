"""Compile functions with Numba and keep them on disk, so that the next process starts at once."""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from numba import njit

Decorator = Callable[[Callable[..., Any]], Any]


def digest(files: Iterable[Path]) -> str:
    """Return the sha256 of these files' contents, in the order of their paths."""
    contents = [file.read_bytes() for file in sorted(files)]
    return hashlib.sha256(b"".join(contents)).hexdigest()


def compiler(sources: str, **options: Any) -> Decorator:
    """Return a decorator that compiles with these options of `numba.njit` and caches on disk.

    `sources` is the digest of every file whose functions the compiled ones call: when one of them
    changes, all are compiled anew. Numba's own cache looks at a function's own file only, and would
    keep using old code of what it calls. The digest goes into the version that Numba compares
    before it reads the rest of a cache: what other code left may name classes that are gone.

    Division by zero gives infinity or NaN, as in NumPy: checking for it would forbid vectorising.
    """

    def compile_cached(function: Callable[..., Any]) -> Any:
        plain = inspect.unwrap(function)  # the tests wrap functions in a type checker
        dispatcher = njit(cache=True, error_model="numpy", **options)(plain)
        file = dispatcher._cache._cache_file  # pyright: ignore[reportAttributeAccessIssue]
        file._version = f"{file._version} {sources}"
        return dispatcher

    return compile_cached
