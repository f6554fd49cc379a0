"""Bring the files of a reference here: from its repository, or from what the user has of it.

All files are checked by their sums before any is written, so it does not matter who gave them.
"""

import http.client
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from partage import _io
from partage.config.references import Reference
from partage.errors import UserError
from partage.runs.reference_curves import check_sum

MOST = 64 * 2**20  # bytes of a file: curves are smaller
TIMEOUT = 30  # seconds without an answer
Read = Callable[[str], tuple[bytes, str]]  # a path there -> its content, and where it was found


def fetch(reference: Reference, results: Path, given: Path | None = None) -> Path:
    """Put the files of a reference in its place; return the place.

    They are taken from its repository, or from what is `given`: a folder or a ZIP file of the
    repository, or the one file itself. Raises `UserError`, and writes nothing, where one is not to
    be had or is another.
    """
    read = _reader(reference, given)
    contents: dict[str, bytes] = {}
    for path in reference.files:
        content, place = read(path)
        check_sum(reference, path, content, place)
        contents[path] = content
    folder = reference.place(results)
    for path, content in contents.items():
        _io.write(folder / path, content)
    return folder


def _reader(reference: Reference, given: Path | None) -> Read:
    """Return what reads one file of a reference."""
    if given is None:
        if not reference.repository:
            raise UserError(
                f"{reference.name} was brought here, not fetched ({reference.source}): bring it "
                f"again with `partage import --reference`."
            )
        return lambda path: (_download(reference, path), reference.address(path))
    if not given.exists():
        raise UserError(f"There is no {given}: {_advice(reference)}")
    if given.is_dir():
        return lambda path: (_io.read_bytes(given / path, _advice(reference)), str(given / path))
    if zipfile.is_zipfile(given):
        return lambda path: (_from_zip(reference, given, path), f"{given}, in it {path}")
    if len(reference.files) == 1:
        return lambda _: (_io.read_bytes(given, _advice(reference)), str(given))
    raise UserError(
        f"{given} is neither a folder nor a ZIP file of {reference.repository}, but "
        f"{reference.name} has {len(reference.files)} files: {_advice(reference)}"
    )


def _advice(reference: Reference) -> str:
    return (
        f"name with --from a clone of {reference.repository} at {reference.commit}, or the ZIP "
        f"file that it offers of this commit."
    )


def _download(reference: Reference, path: str) -> bytes:
    """Return a file from its repository."""
    address = reference.address(path)
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            content = answer.read(MOST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise UserError(
            f"Could not fetch {address} ({why}): nothing was written; fetch it elsewhere and "
            f"{_advice(reference)}"
        ) from error
    if len(content) > MOST:
        raise UserError(f"{address} has more than {MOST:,} bytes, as no file of curves has.")
    return content


def _from_zip(reference: Reference, given: Path, path: str) -> bytes:
    """Return a file from a ZIP file, which may have all of its repository in one folder."""
    try:
        with zipfile.ZipFile(given) as archive:
            for info in archive.infolist():
                if info.filename in (path, f"{info.filename.partition('/')[0]}/{path}"):
                    with archive.open(info) as member:
                        return member.read(MOST + 1)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise UserError(f"Could not read {given} ({error}): {_advice(reference)}") from error
    raise UserError(f"{given} has no {path}: {_advice(reference)}")
