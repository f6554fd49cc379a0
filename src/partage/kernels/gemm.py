"""Products of small float32 matrices in the CPU's vector registers, for compiled code.

The library multiplies by a matrix of a few columns at a sixth of its speed, and by a batch of small
ones only one layer at a time. Here a tile of 4 x 64 sums stays in registers (of half as many where
they are half as wide), and a sum is always taken in the same order, entry after entry: its bits
depend on nothing but what is summed.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from partage.kernels import compiled

LANES, ACROSS = (
    (16, 4) if llvm.get_host_cpu_features().get("avx512f") else (8, 2)
)  # of a register; registers of a tile
DOWN, PANEL = 4, LANES * ACROSS  # rows and columns of a tile
BLOCK = 64  # rows that go through layer after layer, gate after gate, while they are in the cache
I64, VECTOR = ir.IntType(64), ir.VectorType(ir.FloatType(), LANES)
LANE = ir.VectorType(ir.IntType(32), LANES)


def tile(rows: int, registers: int) -> Any:
    """Compiled in place: ``c[rows, registers * LANES] += sum over n of a * b``, every sum in a
    register.

    Arrays are flat. Row r of `a` begins at ``a0 + r * down``, its entries are `along` apart; row k
    of `b` begins at ``b0 + k * ldb``, row r of `c` at ``c0 + r * ldc``.
    """
    none = VECTOR(ir.Undefined)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, c = (make_array(signature.args[k])(context, builder, args[k]).data for k in (0, 4, 7))
        _, a0, down, along, _, b0, ldb, _, c0, ldc, n = args
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")

        def registers_at(base: Any, start: Any) -> list[Any]:
            places = (
                builder.gep(base, [builder.add(start, I64(v * LANES))]) for v in range(registers)
            )
            return [builder.bitcast(place, VECTOR.as_pointer()) for place in places]

        places = [
            p
            for r in range(rows)
            for p in registers_at(c, builder.add(c0, builder.mul(I64(r), ldc)))
        ]
        sums = [cgutils.alloca_once(builder, VECTOR) for _ in places]
        for place, total in zip(places, sums, strict=True):
            builder.store(builder.load(place, align=4), total)
        with cgutils.for_range(builder, n) as loop:
            right = [
                builder.load(p, align=4)
                for p in registers_at(b, builder.add(b0, builder.mul(loop.index, ldb)))
            ]
            start = builder.add(a0, builder.mul(loop.index, along))
            for r in range(rows):
                left = builder.load(builder.gep(a, [builder.add(start, builder.mul(I64(r), down))]))
                left = builder.shuffle_vector(
                    builder.insert_element(none, left, ir.IntType(32)(0)), none, LANE([0] * LANES)
                )
                for total, factor in zip(
                    sums[r * registers : (r + 1) * registers], right, strict=True
                ):
                    builder.store(builder.call(fma, [left, factor, builder.load(total)]), total)
        for place, total in zip(places, sums, strict=True):
            builder.store(builder.load(total), place, align=4)
        return context.get_dummy_value()

    @intrinsic
    def multiply(context, a, a0, down, along, b, b0, ldb, c, c0, ldc, n):
        i = types.int64
        return types.void(a, i, i, i, b, i, i, c, i, i, i), generate

    return multiply


def turn(context, a, a0, lda, b, b0, ldb):
    """Compiled in place: a square of LANES x LANES numbers from `a` to `b`, turned over its
    diagonal in registers.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (make_array(signature.args[k])(context, builder, args[k]).data for k in (0, 3))
        _, a0, lda, _, b0, ldb = args

        def rows_at(base: Any, start: Any, ld: Any) -> list[Any]:
            places = (builder.add(start, builder.mul(I64(r), ld)) for r in range(LANES))
            return [
                builder.bitcast(builder.gep(base, [place]), VECTOR.as_pointer()) for place in places
            ]

        rows, half = [builder.load(place, align=4) for place in rows_at(a, a0, lda)], LANES // 2
        while half:  # squares of this size change places across the diagonal
            upper = [lane if not lane & half else lane - half + LANES for lane in range(LANES)]
            lower = [lane + half if not lane & half else lane + LANES for lane in range(LANES)]
            for r in (r for r in range(LANES) if not r & half):
                pair = rows[r], rows[r + half]
                rows[r], rows[r + half] = (
                    builder.shuffle_vector(*pair, LANE(lanes)) for lanes in (upper, lower)
                )
            half //= 2
        for row, place in zip(rows, rows_at(b, b0, ldb), strict=True):
            builder.store(row, place, align=4)
        return context.get_dummy_value()

    i = types.int64
    return types.void(a, i, i, b, i, i), generate


_turn: Any = intrinsic(turn)
_wide, _narrow, _row, _bit = tile(DOWN, ACROSS), tile(DOWN, 1), tile(1, ACROSS), tile(1, 1)


@compiled
def product(a, a0, down, along, b, b0, ldb, c, c0, ldc, rows, inner, width):
    """``c[rows, width] += a[rows, inner] @ b[inner, width]``, laid out as `tile` says; width in
    whole registers.
    """
    whole, o = rows // DOWN * DOWN, 0
    while o < width:
        if o + PANEL <= width:
            for r in range(0, whole, DOWN):
                _wide(
                    a, a0 + r * down, down, along, b, b0 + o, ldb, c, c0 + r * ldc + o, ldc, inner
                )
            for r in range(whole, rows):
                _row(a, a0 + r * down, down, along, b, b0 + o, ldb, c, c0 + r * ldc + o, ldc, inner)
            o += PANEL
        else:
            for r in range(0, whole, DOWN):
                _narrow(
                    a, a0 + r * down, down, along, b, b0 + o, ldb, c, c0 + r * ldc + o, ldc, inner
                )
            for r in range(whole, rows):
                _bit(a, a0 + r * down, down, along, b, b0 + o, ldb, c, c0 + r * ldc + o, ldc, inner)
            o += LANES


@compiled
def whole(n):
    """That many numbers and what fills up their last register."""
    return (n + LANES - 1) // LANES * LANES


@compiled
def flip(w, out, start):
    """``[I, O]`` as ``[O, I]`` from `start` on, rows filled up to whole registers."""
    (inputs, outputs), width, flat = w.shape, whole(w.shape[0]), w.reshape(-1)
    squares_in, squares_out = inputs // LANES * LANES, outputs // LANES * LANES
    for i in range(0, squares_in, LANES):
        for o in range(0, squares_out, LANES):
            _turn(flat, i * outputs + o, outputs, out, start + o * width + i, width)
    for i in range(inputs):
        for o in range(squares_out if i < squares_in else 0, outputs):
            out[start + o * width + i] = w[i, o]
