"""Draws of the batched simulators, and the cache of their compiled code."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from partage.sims import compilation, random_numbers
from partage.sims.contract import stream

CALLER = """
from sims.callee import answer
from sims.compilation import compiled

@compiled
def ask():
    return answer()

print(ask(), sum(ask.stats.cache_hits.values()))
"""


def generators(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([stream(0, "copy", b) for b in range(count)], np.uint64), np.zeros(
        count, np.uint64
    )


def test_draws_are_uniform_along_a_copy_and_across_copies() -> None:
    key, counter = generators(8_000)
    along = np.array([random_numbers.uniform(key, counter, 0, -1.0, 3.0) for _ in range(8_000)])
    across = np.array(
        [random_numbers.uniform(key, counter, copy, -1.0, 3.0) for copy in range(1, 8_000)]
    )
    for sample in (along, across):
        assert stats.kstest(sample, stats.uniform(-1, 4).cdf).pvalue > 0.01
        assert abs(np.corrcoef(sample[1:], sample[:-1])[0, 1]) < 0.03


def test_whole_numbers_are_drawn_evenly_with_both_ends() -> None:
    key, counter = generators(1)
    sample = np.array([random_numbers.integer(key, counter, 0, -2, 4) for _ in range(7_000)])
    assert set(sample) == set(range(-2, 5))
    assert stats.chisquare(np.bincount(sample + 2)).pvalue > 0.01


def test_key_and_counter_are_the_whole_state() -> None:
    key, counter = generators(3)
    first = [random_numbers.random_word(key, counter, 1) for _ in range(4)]
    assert counter.tolist() == [0, 4, 0]
    counter[1] = 2
    assert [random_numbers.random_word(key, counter, 1) for _ in range(2)] == first[2:]


def test_a_number_ahead_is_the_one_that_is_drawn_after_the_others() -> None:
    key, counter = generators(2)
    ahead = [random_numbers.uniform_ahead(key, counter, 1, n, -1.0, 2.0) for n in range(3)]
    assert counter.tolist() == [0, 0]
    assert ahead == [random_numbers.uniform(key, counter, 1, -1.0, 2.0) for _ in range(3)]


def test_compiled_code_is_reused_until_any_simulators_source_changes(tmp_path: Path) -> None:
    package = tmp_path / "sims"
    package.mkdir()
    shutil.copy(compilation.__file__, package / "compilation.py")
    (package / "caller.py").write_text(CALLER)

    def run(answer: int) -> str:
        text = (
            "from sims.compilation import inlined\n\n@inlined\n"
            f"def answer():\n    return {answer}\n"
        )
        (package / "callee.py").write_text(text)
        command = [sys.executable, "-m", "sims.caller"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert [run(1), run(1), run(2)] == ["1 0", "1 1", "2 0"]  # answer, times read from disk
