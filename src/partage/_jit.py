"""Compile functions with Numba and keep them on disk, so that the next process starts at once."""

import functools
import hashlib
import inspect
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from partage.errors import UserError


def check_threads() -> None:
    """Refuse a number of threads that Numba ends with a traceback for."""
    asked = os.environ.get("NUMBA_NUM_THREADS", "").strip()
    if asked and not (asked.isdecimal() and int(asked) >= 1):
        raise UserError(
            f"NUMBA_NUM_THREADS is a whole number from 1 on, but is {asked!r}: set it, or unset it."
        )


check_threads()  # before Numba reads it

from numba import config, njit  # noqa: E402

Decorator = Callable[[Callable[..., Any]], Any]


def digest(files: Iterable[Path]) -> str:
    """Return the sha256 of these files' contents, in the order of their paths."""
    contents = [file.read_bytes().replace(b"\r\n", b"\n") for file in sorted(files)]
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
        dispatcher = _dispatcher(plain, options)
        # there is none where no folder can be written
        file = getattr(dispatcher._cache, "_cache_file", None)
        if file is not None:
            file._version = f"{file._version} {sources}"
        return dispatcher

    return compile_cached


def _dispatcher(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return what compiles a function when it is called, and keeps that on disk where it can.

    Numba looks for a place in NUMBA_CACHE_DIR, beside the function's file and in the user's cache,
    and raises an error where it can write to none: an installed package has a folder of root's, and
    a job on a cluster may have no home.
    """
    try:
        return njit(cache=True, error_model="numpy", **options)(function)
    except RuntimeError:
        if not _keep_elsewhere():
            return njit(error_model="numpy", **options)(function)
    return njit(cache=True, error_model="numpy", **options)(function)


@functools.cache
def _keep_elsewhere() -> bool:
    """Have Numba keep what it compiles among the temporary files; return whether it can.

    The folder has to be this user's alone: what lies in it is run.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"partage-numba-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        ours = False
    else:
        mine, others = found.st_uid == os.getuid(), found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        ours = stat.S_ISDIR(found.st_mode) and mine and not others
    if ours:
        config.CACHE_DIR = str(folder)  # pyright: ignore
    else:
        print(
            "partage: compiled code can be kept nowhere, so every process compiles anew, which "
            "takes minutes: name a folder that can be written in NUMBA_CACHE_DIR.",
            file=sys.stderr,
        )
    return ours
