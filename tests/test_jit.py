"""Compiled functions are found on disk again, unless code that they call has changed."""

import os
import subprocess
import sys
from pathlib import Path

COMPILED = """
import sys
from {home} import Pair
from partage import _jit

@_jit.compiler(sys.argv[1])
def total(pair):
    return pair.left + pair.right

print(total(Pair(1, 2)), sum(total.stats.cache_hits.values()))
"""
PAIR = """
from typing import NamedTuple

class Pair(NamedTuple):
    left: int
    right: int
"""


def run(folder: Path, home: str, sources: str) -> str:
    """Write the class into module `home`, then compile, call and return what was printed."""
    (folder / f"{home}.py").write_text(PAIR)
    script = folder / "compiled.py"
    before = script.stat() if script.exists() else None
    script.write_text(COMPILED.format(home=home))
    if before:  # the file looks as it did: the digest alone tells that something has changed
        os.utime(script, ns=(before.st_atime_ns, before.st_mtime_ns))
    paths = os.pathsep.join([str(folder), *sys.path])
    command = [sys.executable, str(script), sources]
    environment = os.environ | {"PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(folder / "cache")}
    return subprocess.check_output(command, env=environment, text=True).strip()


def test_a_second_process_finds_what_the_first_has_compiled(tmp_path: Path) -> None:
    assert run(tmp_path, "one", "same") == "3 0"
    assert run(tmp_path, "one", "same") == "3 1"


def test_a_cache_of_other_sources_is_not_read_even_if_its_classes_are_gone(tmp_path: Path) -> None:
    assert run(tmp_path, "one", "old") == "3 0"
    (tmp_path / "one.py").unlink()
    assert run(tmp_path, "two", "new") == "3 0"


def test_a_cache_that_names_a_class_of_a_study_s_is_read_by_nobody_who_lacks_it(
    tmp_path: Path,
) -> None:
    assert run(tmp_path, "one", "same") == "3 0"
    (tmp_path / "one.py").unlink()
    assert run(tmp_path, "two", "same") == "3 0"
