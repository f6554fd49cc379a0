"""Compile functions with Numba and keep them on disk, so that the next process starts at once."""

import functools
import hashlib
import inspect
import io
import os
import stat
import sys
import sysconfig
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
from numba.core.caching import FunctionCache, IndexDataCacheFile  # noqa: E402
from numba.core.serialize import NumbaPickler  # noqa: E402

Decorator = Callable[[Callable[..., Any]], Any]
PACKAGE = Path(__file__).parent


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
            home = Path(plain.__code__.co_filename).parent
            own = "" if home.is_relative_to(PACKAGE) else digest(home.glob("*.py"))
            file._version = f"{file._version} {sources}{own}"
            dispatcher._cache = _Caches(dispatcher._cache, plain)
        return dispatcher

    return compile_cached


class _Caches:
    """A function's cache on disk, and others for what was compiled for classes from elsewhere.

    Those are a study's: of its environments' worlds. An index names the classes of all that was
    compiled, and a process that cannot import one of them can read none of it; so what names a
    study's lies in an index of its own, which a change of the study's files empties.
    """

    def __init__(self, shared: Any, function: Callable[..., Any]) -> None:
        self.shared, self.function = shared, function

    @property
    def cache_path(self) -> str:
        """Return the folder of both."""
        return self.shared.cache_path

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return what was compiled for these arguments, or None."""
        return self._for(signature).load_overload(signature, target)

    def save_overload(self, signature: Any, made: Any) -> None:
        """Keep what was compiled."""
        self._for(signature).save_overload(signature, made)

    def flush(self) -> None:
        """Forget what is kept of the package's own classes."""
        self.shared.flush()

    def _for(self, signature: Any) -> Any:
        names = _Names()
        names.dump(signature)
        if not names.homes:
            return self.shared
        homes = sorted(names.homes)
        cache: Any = FunctionCache(self.function)
        place = hashlib.sha256("".join(map(str, homes)).encode()).hexdigest()[:12]
        base, stamp = f"{cache._impl.filename_base}-{place}", cache._cache_file._source_stamp
        cache._cache_file = IndexDataCacheFile(cache.cache_path, base, stamp)
        own = "".join(digest(home.glob("*.py")) for home in homes)
        cache._cache_file._version = f"{self.shared._cache_file._version} {own}"
        return cache


class _Names(NumbaPickler):
    """Finds the folders of what a signature names that is neither ours nor installed."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.homes: set[Path] = set()

    def reducer_override(self, obj: Any) -> Any:
        """Note where an object's module lies."""
        module = sys.modules.get(getattr(obj, "__module__", None) or "")
        file = getattr(module, "__file__", None)
        if isinstance(obj, type) and file and not _is_installed(Path(file)):
            self.homes.add(Path(file).parent)
        return super().reducer_override(obj)


@functools.cache
def _is_installed(file: Path) -> bool:
    """Return whether a module is the package's, Python's or another package's."""
    if "site-packages" in file.parts or file.is_relative_to(PACKAGE):
        return True
    return file.is_relative_to(sysconfig.get_path("stdlib"))


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
