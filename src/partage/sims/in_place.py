"""A compiled simulator as compiled code plays it: a step and a new episode without Python between.

`Batched` takes the same steps from Python. A simulator's two functions are called by their
addresses: so what plays is compiled once for each simulator's arrays, whatever its rules are, and
has no copy of rules that may be edited.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64
from llvmlite import ir
from numba import typeof, types
from numba.extending import intrinsic

from partage.sims.buffers import Buffers
from partage.sims.compilation import compiled


class Game(NamedTuple):
    """A simulator of all copies, and the buffers that it writes."""

    start: int  # addresses of its functions, see `Kernel`
    move: int
    rules: Any
    world: Any
    buffers: Buffers
    horizon: int
    terminal: bool  # what the clock's end is called: terminated, not truncated


def address(function: Any, *arguments: Any) -> int:
    """Return where compiled code finds a compiled function that takes such arguments."""
    kinds = tuple(typeof(argument) for argument in arguments)
    function.compile(kinds)
    made = function.overloads[kinds]
    return made.library.get_pointer_to_function(made.fndesc.llvm_cfunc_wrapper_name)


def call_at(context, at, rules, world, buffers, given):
    """Call the function at this address with these arguments; it returns nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
        nothing = context.get_value_type(types.none)
        pointer = ir.FunctionType(nothing, kinds).as_pointer()
        builder.call(builder.inttoptr(arguments[0], pointer), arguments[1:])
        return context.get_dummy_value()

    return types.void(at, rules, world, buffers, given), generate


_call: Any = intrinsic(call_at)


@compiled
def begin_step(
    live: Bool[np.ndarray, "C"],
    clock: Int64[np.ndarray, "C"],
    reward: Float32[np.ndarray, "C N"],
    feature: Float32[np.ndarray, "C"],
) -> None:
    """Move the clocks of live copies on; the others earn nothing."""
    for copy in range(len(live)):
        if live[copy]:
            clock[copy] += 1
        else:
            reward[copy] = 0
            feature[copy] = 0


@compiled
def end_step(
    live: Bool[np.ndarray, "C"],
    clock: Int64[np.ndarray, "C"],
    terminated: Bool[np.ndarray, "C"],
    truncated: Bool[np.ndarray, "C"],
    horizon: int,
    terminal: bool,
) -> None:
    """End the episodes whose time is up, and let those that have ended idle."""
    for copy in range(len(live)):
        if live[copy]:
            if not terminated[copy] and clock[copy] >= horizon:
                if terminal:
                    terminated[copy] = True
                else:
                    truncated[copy] = True
            live[copy] = not (terminated[copy] or truncated[copy])


@compiled
def clear(buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
    """Set what starts with every episode in the copies marked."""
    for copy in range(len(where)):
        if where[copy]:
            buffers.reward[copy] = 0
            buffers.feature[copy] = 0
            buffers.terminated[copy] = False
            buffers.truncated[copy] = False
            buffers.score[copy] = 0
            buffers.clock[copy] = 0
            buffers.live[copy] = True


@compiled
def step(game: Game, actions: Int64[np.ndarray, "C N"]) -> None:
    """Move every live copy by one step, as `Batched.step` does."""
    b = game.buffers
    begin_step(b.live, b.clock, b.reward, b.feature)
    _call(game.move, game.rules, game.world, b, actions)
    end_step(b.live, b.clock, b.terminated, b.truncated, game.horizon, game.terminal)


@compiled
def restart(game: Game, where: Bool[np.ndarray, "C"]) -> None:
    """Start a new episode in the copies marked, as `Batched.reset` does."""
    clear(game.buffers, where)
    _call(game.start, game.rules, game.world, game.buffers, where)
