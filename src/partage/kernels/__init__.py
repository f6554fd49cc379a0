"""Compiled code for the CPU: NumPy arrays in and out. Who calls it, and its twin in torch, is in
`partage.nn`.

Fast-math flags are limited to those under which every lane and every loop remainder computes the
same bits.
"""

from pathlib import Path

from partage import _jit

SOURCES = _jit.digest(Path(__file__).parent.glob("*.py"))
FAST_MATH = frozenset({"contract", "nsz", "nnan", "ninf"})

compiled = _jit.compiler(SOURCES, fastmath=set(FAST_MATH))
inlined = _jit.compiler(SOURCES, fastmath=set(FAST_MATH), inline="always")
