"""Decorators that compile the simulators' rules, cached on disk (see `partage._jit`)."""

from pathlib import Path

from partage import _jit

# Of all simulators: one calls functions of another file, whose changes must compile it anew.
SOURCES = _jit.digest(Path(__file__).parent.rglob("*.py"))

compiled = _jit.compiler(SOURCES)

# For the parts that a simulator calls per copy: the code is put where the call is.
inlined = _jit.compiler(SOURCES, forceinline=True)

# For what makes no arrays: without Numba's reference counts, which in code that reads a few numbers
# here and there cost several times the rules themselves. They are a GPU's device functions as well.
lean = _jit.compiler(SOURCES, _nrt=False)
lean_inlined = _jit.compiler(SOURCES, _nrt=False, forceinline=True)
