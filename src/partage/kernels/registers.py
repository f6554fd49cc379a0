"""What the CPU's vector registers are like, asked of the compiler that generates the code.

A list of CPUs and their features would be wrong about the next one, and about what Numba was told
to do without (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES). So a product is compiled and looked at.
"""

from typing import Any, NamedTuple

import llvmlite.binding as llvm
from numba.core.registry import cpu_target

PRODUCT = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define <16 x float> @product(<16 x float> %a, <16 x float> %b, <16 x float> %c) {
  %sum = call <16 x float> @llvm.fma.v16f32(<16 x float> %a, <16 x float> %b, <16 x float> %c)
  ret <16 x float> %sum
}
"""
LANES_OF = {"zmm": 16, "ymm": 8, "xmm": 4}  # floats of a register, by its name in assembly
ELSEWHERE = 8  # lanes: two registers on ARM, which has twice as many as x86 with its 8 lanes needs


class Registers(NamedTuple):
    """How many floats a register has, and whether ``a * b + c`` is one instruction."""

    lanes: int
    fused: bool

    def __str__(self) -> str:
        """Return it in words, as records have it."""
        return f"{self.lanes} lanes, {'fused' if self.fused else 'separate'} multiply-add"


def of_assembly(assembly: str) -> Registers:
    """Return what the registers are like for which `PRODUCT` became this assembly.

    Without the instruction the C library's `fmaf` is called for every single lane.
    """
    names = [name for name in LANES_OF if name in assembly]
    lanes = LANES_OF[names[0]] if names else ELSEWHERE
    return Registers(lanes, fused="fmaf" not in assembly)


def of_this_machine() -> Registers:
    """Return what the registers are like that Numba compiles for."""
    context: Any = cpu_target.target_context
    triple, cpu, features = context.codegen().magic_tuple()
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu=cpu, features=features, opt=2)
    return of_assembly(machine.emit_assembly(llvm.parse_assembly(PRODUCT)))
