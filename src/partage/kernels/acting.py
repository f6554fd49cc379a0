"""One instant of acting, of all agents of all copies of all runs, in one compiled call.

Rows are M = R x B x N: agents in turn, copy after copy, run after run, as simulators write them.
Weights are read where the banks keep them, and one-hot inputs (the last action, the agent's id) are
rows of weights that are added. Sums are taken in the order of `mlp` and `gru`, to the same bits.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from partage.kernels import compiled, inlined
from partage.kernels.gemm import BLOCK, Matrix, add_product, padded_width
from partage.kernels.mlp import relu
from partage.kernels.pointwise import F, gate_rows


class Bank(NamedTuple):
    """The parameters of `partage.nn.bank.Bank` where they lie, and who goes through which set."""

    weight: Float32[np.ndarray, "R S I O"]  # of dense inputs, then of one-hot ones, then of ids
    bias: Float32[np.ndarray, "R S O"]
    sharing: Int64[np.ndarray, "R N"]
    one_hot: int
    agent_id: int


class Body(NamedTuple):
    """An encoder with ReLU, then a GRU in torch's order of gates: reset, update, new."""

    encoder: Bank
    inputs: Bank
    hidden: Bank


class Stretch(NamedTuple):
    """So many rows that go through one set, from `first` on, `step` apart."""

    run: int
    used: int
    first: int
    step: int
    rows: int


@inlined
def stretches(bank):
    """Return how many stretches of rows a run has: one, or where there are sets one an agent."""
    return bank.sharing.shape[1] if bank.weight.shape[1] > 1 else 1


@inlined
def stretch(bank, rows, number):
    """Return the stretch of this number, counted through all runs, of so many rows in all."""
    runs, sets = bank.weight.shape[:2]
    agents, of_run = bank.sharing.shape[1], rows // runs
    if sets == 1:
        return Stretch(number, 0, number * of_run, 1, of_run)
    run, agent = number // agents, number % agents
    return Stretch(run, bank.sharing[run, agent], run * of_run + agent, agents, of_run // agents)


@compiled
def _check_sharing(bank, rows):
    """Raise `ValueError` where so many rows do not go through sets that are there."""
    runs, sets, agents = len(bank.weight), bank.weight.shape[1], bank.sharing.shape[1]
    if len(bank.sharing) != runs or rows % (runs * agents):
        raise ValueError("a bank is of other runs or agents than its rows")
    if bank.bias.shape[:2] != (runs, sets) or bank.bias.shape[2] != bank.weight.shape[3]:
        raise ValueError("a bank's biases do not fit its weights")
    for run in range(runs):
        for agent in range(agents):
            if sets > 1 and not 0 <= bank.sharing[run, agent] < sets:
                raise ValueError("an agent goes through a set that is not there")


@compiled
def _check_rows(x, hot, bank, out):
    """Raise `ValueError` where rows do not fit their bank, or what is behind it."""
    dense = bank.weight.shape[2] - bank.one_hot - bank.agent_id
    if x.shape[1] < dense or out.shape[1] < padded_width(bank.weight.shape[3]):
        raise ValueError("rows are not as wide as their bank")
    if len(out) != len(x) or len(hot) != len(x) or bank.agent_id not in (0, bank.sharing.shape[1]):
        raise ValueError("a bank has other rows or agents than it is given")
    for m in range(len(hot)):
        if bank.one_hot and not -1 <= hot[m] < bank.one_hot:
            raise ValueError("a row has a one in a place that its bank has not")


@compiled
def _begin_row(to, bias, weight, of_id, of_one):
    """Begin a row with its biases and the weights of its ones (-1: none), zeros behind them."""
    for o in range(len(bias)):
        to[o] = bias[o]
    if of_id >= 0:
        for o in range(len(bias)):
            to[o] += weight[of_id, o]
    if of_one >= 0:
        for o in range(len(bias)):
            to[o] += weight[of_one, o]
    for o in range(len(bias), len(to)):
        to[o] = F(0)


@compiled
def _add_columns(left, weight, column, columns, to, rows, inner):
    """Add ``left[rows, inner] @ weight[:inner, column : column + columns]`` to the matrix `to`.

    Columns that fill no whole registers are multiplied by a copy with zeros behind them.
    """
    width = padded_width(columns)
    right = Matrix(weight.reshape(-1), column, weight.shape[1], 1)
    if columns != width:
        padded = np.zeros(inner * width, np.float32)
        for i in range(inner):
            for o in range(columns):
                padded[i * width + o] = weight[i, column + o]
        right = Matrix(padded, 0, width, 1)
    add_product(left, right, to, rows, inner, width)


@compiled
def apply_bank(x, hot, bank, out):
    """Write rows ``x [M, I]`` behind their sets to ``out [M, O]``, padded to whole registers.

    `hot` ``[M]`` is the place of the one in each row's one-hot inputs (-1: none).
    """
    _check_sharing(bank, len(x))
    _check_rows(x, hot, bank, out)
    agents = bank.sharing.shape[1]
    dense = bank.weight.shape[2] - bank.one_hot - bank.agent_id
    for number in range(len(bank.weight) * stretches(bank)):
        s = stretch(bank, len(x), number)
        weight, bias = bank.weight[s.run, s.used], bank.bias[s.run, s.used]
        for row in range(s.first, s.first + s.step * s.rows, s.step):
            of_id = dense + bank.one_hot + row % agents if bank.agent_id else -1
            of_one = dense + hot[row] if bank.one_hot and hot[row] >= 0 else -1
            _begin_row(out[row], bias, weight, of_id, of_one)
        left = Matrix(x.reshape(-1), s.first * x.shape[1], s.step * x.shape[1], 1)
        to = Matrix(out.reshape(-1), s.first * out.shape[1], s.step * out.shape[1], 1)
        _add_columns(left, weight, 0, len(bias), to, s.rows, dense)


@compiled
def _begin_gates(gates, from_x, from_h):
    """Begin the sums of each row's gates with their biases, given in torch's order."""
    units, width = len(from_h) // 3, gates.shape[1] // 4
    for m in range(len(gates)):
        row = gates[m]
        row[:] = F(0)
        for j in range(units):
            row[j] = from_h[2 * units + j]
            row[width + j] = from_x[j] + from_h[j]
            row[2 * width + j] = from_x[units + j] + from_h[units + j]
            row[3 * width + j] = from_x[2 * units + j]


@compiled
def _add_inputs(x, inputs, s, gates):
    """Add what the inputs of a stretch's rows give; those as wide as all gates are that already."""
    width, units = gates.shape[1] // 4, inputs.weight.shape[3] // 3
    if x.shape[1] == 3 * units and inputs.weight.shape[2] != 3 * units:
        for m in range(s.rows):
            row, given = gates[m], x[s.first + m * s.step]
            for gate in range(3):
                for j in range(units):
                    row[(gate + 1) * width + j] += given[gate * units + j]
    else:
        wx = inputs.weight[s.run, s.used]
        from_x = Matrix(x.reshape(-1), s.first * x.shape[1], s.step * x.shape[1], 1)
        for gate in range(3):
            to = Matrix(gates.reshape(-1), (gate + 1) * width, 4 * width, 1)
            _add_columns(from_x, wx, gate * units, units, to, s.rows, len(wx))


@compiled
def _step_rows(x, h, inputs, hidden, s, gates, after):
    """Bring the rows of a stretch, at most BLOCK, from the states `h` to those `after`."""
    units, width = h.shape[1], gates.shape[1] // 4
    _begin_gates(gates[: s.rows], inputs.bias[s.run, s.used], hidden.bias[s.run, s.used])
    _add_inputs(x, inputs, s, gates)
    wh, flat = hidden.weight[s.run, s.used], gates.reshape(-1)
    from_h = Matrix(h.reshape(-1), s.first * units, s.step * units, 1)
    for gate in range(3):  # new from h comes first, as `gate_rows` takes them
        to = Matrix(flat, (gate + 1) % 3 * width, 4 * width, 1)
        _add_columns(from_h, wh, gate * units, units, to, s.rows, units)
    for m in range(s.rows):
        row = s.first + m * s.step
        gate_rows(gates[m : m + 1], h[row : row + 1], after[row : row + 1])


@compiled
def _check_cell(x, inputs, hidden, rows, units):
    """Raise `ValueError` where the halves of a GRU do not fit each other, its rows or states."""
    wx, wh = inputs.weight.shape, hidden.weight.shape
    if x.shape[1] < wx[2] or len(x) != rows or wh[2] != units or wx[3] != 3 * units:
        raise ValueError("a GRU does not fit its inputs or states")
    if wx[:2] != wh[:2] or wh[3] != wx[3]:
        raise ValueError("the halves of a GRU do not fit each other")
    _check_sharing(inputs, rows)
    _check_sharing(hidden, rows)


@compiled
def apply_cell(x, h, inputs, hidden, after):
    """Write the states ``[M, H]`` after this instant's rows ``[M, I]``; `h` are those before.

    Rows as wide as all gates ``[M, 3H]`` are what the weights of the inputs would give.
    """
    rows, units = after.shape
    _check_cell(x, inputs, hidden, rows, units)
    gates = np.empty((BLOCK, 4 * padded_width(units)), np.float32)
    for number in range(len(inputs.weight) * stretches(inputs)):
        s = stretch(inputs, rows, number)
        for done in range(0, s.rows, BLOCK):
            count = min(BLOCK, s.rows - done)
            block = Stretch(s.run, s.used, s.first + done * s.step, s.step, count)
            _step_rows(x, h, inputs, hidden, block, gates, after)


@compiled
def apply_body(x, last, h, body, after):
    """Write the states ``[M, H]`` after this instant's rows ``[M, I]``; `h` are those before.

    `last` is the last action of each row; -1: none yet.
    """
    encoded = np.empty((len(x), padded_width(body.encoder.weight.shape[3])), np.float32)
    apply_bank(x, last, body.encoder, encoded)
    relu(encoded)
    apply_cell(encoded, h, body.inputs, body.hidden, after)
