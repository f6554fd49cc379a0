"""Products of small float32 matrices in the CPU's vector registers, for compiled code.

The library multiplies by a matrix of a few columns at a sixth of its speed, and by a batch of small
ones only one layer at a time. Here a tile of 4 x 64 sums stays in registers (of fewer where they
are narrower), and a sum is always taken in the same order, entry after entry: its bits
depend on nothing but what is summed.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from partage.kernels import compiled, inlined, registers

REGISTERS = registers.of_this_machine()
LANES = REGISTERS.lanes
TILE_REGISTERS = 4 if LANES == 16 else 2  # side by side in a tile
TILE_COLUMNS = LANES * TILE_REGISTERS
TILE_ROWS = 4
BLOCK = 64  # rows that go through layer after layer, gate after gate, while they are in the cache

I32, I64 = ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(ir.FloatType(), LANES)
PERMUTATION = ir.VectorType(I32, LANES)


class Matrix(NamedTuple):
    """A matrix in a flat array: ``[r, c]`` is ``flat[start + r * row_step + c * column_step]``."""

    flat: Float32[np.ndarray, "X"]
    start: int
    row_step: int
    column_step: int  # 1 unless the matrix is a left factor


@inlined
def rows_from(x, first):
    """Return the rows of ``x [M, F]`` from `first` on, as a matrix."""
    return Matrix(x.reshape(-1), first * x.shape[1], x.shape[1], 1)


@inlined
def columns_from(x, first):
    """Return the rows of ``x [M, F]`` from `first` on, as the columns of a matrix."""
    return Matrix(x.reshape(-1), first * x.shape[1], 1, x.shape[1])


@compiled
def padded_width(n):
    """Return the least multiple of a register's length that is at least `n`."""
    return (n + LANES - 1) // LANES * LANES


def _registers(builder: Any, data: Any, start: Any, count: int) -> list[Any]:
    """Return pointers to `count` registers' worth of floats, side by side from `start` on."""
    pointers = []
    for n in range(count):
        first_float = builder.gep(data, [builder.add(start, I64(n * LANES))])
        pointers.append(builder.bitcast(first_float, VECTOR.as_pointer()))
    return pointers


def _broadcast(builder: Any, number: Any) -> Any:
    """Return a register that holds this number in every lane."""
    undefined = VECTOR(ir.Undefined)
    lane_0 = builder.insert_element(undefined, number, I32(0))
    return builder.shuffle_vector(lane_0, undefined, PERMUTATION([0] * LANES))


def _added(builder: Any, left: Any, right: Any, total: Any) -> Any:
    """Return ``left * right + total``, lane by lane.

    It is rounded once where the CPU has the instruction, else twice: to round once without it takes
    18 times as long.
    """
    if not REGISTERS.fused:
        return builder.fadd(builder.fmul(left, right), total)
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
    return builder.call(fma, [left, right, total])


class _Operand:
    """A `Matrix` argument of an intrinsic, taken apart."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        flat, self.start, self.row_step, self.column_step = cgutils.unpack_tuple(builder, value, 4)
        self.data = make_array(kind.types[0])(context, builder, flat).data
        self.builder = builder

    def place(self, row: Any, column: Any) -> Any:
        """Return the index of an entry in the flat array."""
        below = self.builder.mul(row, self.row_step)
        beside = self.builder.mul(column, self.column_step)
        return self.builder.add(self.start, self.builder.add(below, beside))


def tile_product(rows: int, registers: int) -> Any:
    """Return an intrinsic ``f(a, b, c, row, column, inner)`` that adds one tile of a product.

    ``c[row:, column:] += a[row:, :inner] @ b[:inner, column:]`` for so many rows and registers of
    columns, every sum in a register of its own. `a`, `b` and `c` are matrices.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, c = (_Operand(context, builder, signature.args[n], args[n]) for n in range(3))
        row, column, inner = args[3:]
        tile_rows = [builder.add(row, I64(r)) for r in range(rows)]

        targets = []
        for tile_row in tile_rows:
            targets += _registers(builder, c.data, c.place(tile_row, column), registers)
        sums = [cgutils.alloca_once(builder, VECTOR) for _ in targets]
        for target, total in zip(targets, sums, strict=True):
            builder.store(builder.load(target, align=4), total)
        with cgutils.for_range(builder, inner) as loop:
            sources = _registers(builder, b.data, b.place(loop.index, column), registers)
            right = [builder.load(source, align=4) for source in sources]
            for r, tile_row in enumerate(tile_rows):
                number = builder.load(builder.gep(a.data, [a.place(tile_row, loop.index)]))
                left = _broadcast(builder, number)
                for total, factor in zip(sums[r * registers :], right, strict=False):
                    builder.store(_added(builder, left, factor, builder.load(total)), total)
        for target, total in zip(targets, sums, strict=True):
            builder.store(builder.load(total), target, align=4)
        return context.get_dummy_value()

    @intrinsic
    def add_tile(context, a, b, c, row, column, inner):
        i = types.int64
        return types.void(a, b, c, i, i, i), generate

    return add_tile


_add_wide_tile = tile_product(TILE_ROWS, TILE_REGISTERS)
_add_wide_row = tile_product(1, TILE_REGISTERS)
_add_narrow_tile = tile_product(TILE_ROWS, 1)
_add_narrow_row = tile_product(1, 1)


@compiled
def add_product(a, b, c, rows, inner, columns):
    """Add ``a[rows, inner] @ b[inner, columns]`` to `c`; `columns` is a multiple of LANES."""
    tiled = rows // TILE_ROWS * TILE_ROWS
    column = 0
    while column < columns:
        if column + TILE_COLUMNS <= columns:
            for row in range(0, tiled, TILE_ROWS):
                _add_wide_tile(a, b, c, row, column, inner)
            for row in range(tiled, rows):
                _add_wide_row(a, b, c, row, column, inner)
            column += TILE_COLUMNS
        else:
            for row in range(0, tiled, TILE_ROWS):
                _add_narrow_tile(a, b, c, row, column, inner)
            for row in range(tiled, rows):
                _add_narrow_row(a, b, c, row, column, inner)
            column += LANES


def _swapped(builder: Any, upper: Any, lower: Any, half: int) -> tuple[Any, Any]:
    """Return two rows whose squares of `half` numbers have changed places across the diagonal."""
    lanes = range(LANES)
    to_upper = [lane - half + LANES if lane & half else lane for lane in lanes]
    to_lower = [lane + LANES if lane & half else lane + half for lane in lanes]
    return (
        builder.shuffle_vector(upper, lower, PERMUTATION(to_upper)),
        builder.shuffle_vector(upper, lower, PERMUTATION(to_lower)),
    )


def transpose_square(context, a, a_start, a_step, b, b_start, b_step):
    """Write the transpose of a square of LANES x LANES numbers of `a` to `b`, in registers.

    Both are flat; their rows are `a_step` and `b_step` apart.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (make_array(signature.args[k])(context, builder, args[k]).data for k in (0, 3))
        _, a_start, a_step, _, b_start, b_step = args

        def row_pointers(data: Any, start: Any, step: Any) -> list[Any]:
            pointers = []
            for r in range(LANES):
                place = builder.add(start, builder.mul(I64(r), step))
                pointers += _registers(builder, data, place, 1)
            return pointers

        rows = [builder.load(row, align=4) for row in row_pointers(a, a_start, a_step)]
        half = LANES // 2
        while half:
            for r in range(LANES):
                if not r & half:
                    rows[r], rows[r + half] = _swapped(builder, rows[r], rows[r + half], half)
            half //= 2
        for row, target in zip(rows, row_pointers(b, b_start, b_step), strict=True):
            builder.store(row, target, align=4)
        return context.get_dummy_value()

    i = types.int64
    return types.void(a, i, i, b, i, i), generate


_transpose_square: Any = intrinsic(transpose_square)


@compiled
def transpose_into(w, out, start):
    """Write ``w [I, O]`` as ``[O, I]`` into the flat `out` from `start` on, its rows padded."""
    inputs, outputs = w.shape
    width, flat = padded_width(inputs), w.reshape(-1)
    squares_in, squares_out = inputs // LANES * LANES, outputs // LANES * LANES
    for i in range(0, squares_in, LANES):
        for o in range(0, squares_out, LANES):
            _transpose_square(flat, i * outputs + o, outputs, out, start + o * width + i, width)
    for i in range(inputs):
        for o in range(squares_out if i < squares_in else 0, outputs):
            out[start + o * width + i] = w[i, o]
