"""Run a compiled simulator on a GPU, a thread or a warp of them for each copy: `OnGpu`.

The very functions that the CPU runs for one copy after the other are compiled for the GPU, and
launched on torch's current stream, over torch's own memory. So nothing goes through the host, a
step or a new episode is one launch, and a CUDA graph may hold it. Draws are counted per copy
(`random_numbers`), and products and sums are rounded one by one as on the CPU: both devices play
the same, but for the last digit of an exponential or a logarithm (contacts of simple_spread_v3).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from partage.sims.batch import Batched, check_actions, check_mask
from partage.sims.buffers import Buffers
from partage.sims.card import Card
from partage.sims.contract import Spec, TimeLimit, TimeStep
from partage.sims.in_place import begin_copy_step, clear_copy, end_copy_step
from partage.sims.kernel import Kernel
from partage.sims.side_by_side import place, place_side_by_side, place_units_apart, words


@cache
def kernels(cuda: Any, start: Any, move: Any) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return a new episode and a step, each as a thread does it for its copy (see `Kernel`)."""

    def restart(rules, world, buffers, where):
        copy = cuda.grid(1)
        if copy < where.shape[0] and where[copy]:
            clear_copy(buffers, copy)
            start(rules, world, buffers, copy)

    def step(rules, world, buffers, actions, horizon, terminal):
        copy = cuda.grid(1)
        if copy < actions.shape[0]:
            b = buffers
            begin_copy_step(b.live, b.clock, b.reward, b.feature, copy)
            if b.live[copy]:
                move(rules, world, b, actions, copy)
            end_copy_step(b.live, b.clock, b.terminated, b.truncated, horizon, terminal, copy)

    return restart, step


@cache
def kernels_of_warps(
    cuda: Any, lanes: int, start: Any, move: Any
) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return the same where so many threads play a copy together."""

    def restart(rules, world, buffers, where):
        thread = cuda.grid(1)
        copy, lane = thread // lanes, thread % lanes
        if copy < where.shape[0] and where[copy]:
            if lane == 0:
                clear_copy(buffers, copy)
            start(rules, world, buffers, copy, lane)

    def step(rules, world, buffers, actions, horizon, terminal):
        thread = cuda.grid(1)
        copy, lane, b = thread // lanes, thread % lanes, buffers
        if copy < actions.shape[0]:
            lives = b.live[copy]
            cuda.syncwarp()
            if lane == 0:
                begin_copy_step(b.live, b.clock, b.reward, b.feature, copy)
            if lives:
                move(rules, world, b, actions, copy, lane)
            if lane == 0:
                end_copy_step(b.live, b.clock, b.terminated, b.truncated, horizon, terminal, copy)

    return restart, step


class OnGpu:
    """`Env` of R x B copies on a GPU: as `Batched`, but what it takes and gives lies on the card.

    After the first of each, `reset` and `step` take no memory and wait for nothing, so a CUDA graph
    may hold them. To look at the actions would be to wait: a number that is no action is played as
    the nearest one. What is saved goes on on either device.
    """

    game = None  # compiled code of the CPU cannot play it

    def __init__(
        self,
        spec: Spec,
        sim: Callable[[int], Kernel],
        seeds: Sequence[int],
        copies: int,
        time_limit: TimeLimit,
    ) -> None:
        self._go_on_from(Batched(spec, sim, seeds, copies, time_limit))

    def _go_on_from(self, host: Batched) -> None:
        """Take over the episodes of copies that a CPU plays."""
        self.card, self.host = Card(), host
        sim: Any = host._sim  # a `Kernel`
        self.spec, self.runs, self.copies = host.spec, host.runs, host.copies
        self.device, spec = self.card.device, host.spec
        placed: list[Any] = [place(array, self.device) for array in host._buffers]
        self._buffers: Any = Buffers(*placed)  # of tensors
        if spec.state_is_obs:
            state = self._buffers.obs.view(len(host._buffers.obs), -1)
            self._buffers = self._buffers._replace(state=state)
        few = self.card.lanes_of(len(host._buffers.live))
        self.lanes = few if sim.together else 1
        placed_world = place_side_by_side if self.lanes == 1 else place_units_apart
        world = [placed_world(array, self.device) for array in sim.world]
        self._world = type(sim.world)(*world)
        self._rules = self._placed_rules(sim.rules)
        count, n = len(host._buffers.live), spec.n_agents
        self._where = torch.zeros(count, dtype=torch.bool, device=self.device)
        self._actions = torch.zeros(count, n, dtype=torch.int64, device=self.device)
        views = {name: self._view(getattr(self._buffers, name)) for name in TimeStep._fields}
        self.now = TimeStep(**views)
        self._compile()

    def _placed_rules(self, rules: Any) -> Any:
        """Return the task's constants with their arrays on the card, as Numba sees them."""
        fields: list[Any] = []
        for field in rules:
            if isinstance(field, np.ndarray):
                placed = place if self.lanes == 1 else place_units_apart
                fields.append(self.card.seen(placed(field, self.device), field.dtype))
            else:
                fields.append(field)
        return type(rules)(*fields)

    def _seen(self, tensors: Any, arrays: Any) -> Any:
        """Return a NamedTuple of tensors as Numba sees them, each of its array's type."""
        pairs = zip(tensors, arrays, strict=True)
        return type(arrays)(*(self.card.seen(tensor, array.dtype) for tensor, array in pairs))

    def _compile(self) -> None:
        """Compile both kernels, and lay out what they are given at every launch."""
        card, host = self.card, self.host
        sim: Any = host._sim
        places = (
            self._rules,
            self._seen(self._world, sim.world),
            self._seen(self._buffers, host._buffers),
        )
        self._given_where = (*places, card.seen(self._where, np.dtype(bool)))
        actions = card.seen(self._actions, np.dtype(np.int64))
        self._given_actions = (*places, actions, self.spec.horizon, host._terminal)
        if self.lanes == 1:
            restart, step = kernels(card.cuda, sim.start_copy, sim.move_copy)
        else:
            played = sim.together(card.cuda, self.lanes)
            restart, step = kernels_of_warps(card.cuda, self.lanes, *played)
        self._restart = card.compile(restart, self._given_where)
        self._step = card.compile(step, self._given_actions)

    def _view(self, tensor: Tensor) -> Tensor:
        """Return ``[C, ...]`` as ``[R, B, ...]``, in the same memory."""
        return tensor.view(self.runs, self.copies, *tensor.shape[1:])

    def reset(self, where: Bool[Tensor, "R B"] | None = None) -> TimeStep:
        """Start a new episode in the copies marked (all when None)."""
        if where is None:
            self._where.fill_(True)
        else:
            check_mask(where, (self.runs, self.copies))
            self._view(self._where).copy_(where)
        self.card.launch(self._restart, len(self._where), self._given_where, self.lanes)
        return self.now

    def step(self, actions: Int64[Tensor, "R B N"]) -> TimeStep:
        """Move every live copy by one step, and end the episodes whose time is up."""
        check_actions(actions, (self.runs, self.copies, self.spec.n_agents))
        self._view(self._actions).copy_(actions)
        self._actions.clamp_(0, self.spec.n_actions - 1)
        self.card.launch(self._step, len(self._actions), self._given_actions, self.lanes)
        return self.now

    def state_dict(self) -> dict[str, Any]:
        """Return the buffers and the simulator's state, as the CPU's `Batched` saves them."""
        for array, tensor in self._pairs():
            torch.from_numpy(words(array)).copy_(tensor)
        return self.host.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> TimeStep:
        """Go on from what either device has saved, and return that instant."""
        self.host.load_state_dict(state)
        for array, tensor in self._pairs():
            tensor.copy_(torch.from_numpy(words(array)))
        return self.now

    def _pairs(self) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Return each array on the host with the same on the card."""
        sim: Any = self.host._sim
        arrays = (*sim.world, *self.host._buffers)
        return zip(arrays, (*self._world, *self._buffers), strict=True)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of: the copies as they are now, by way of the host."""
        self.state_dict()
        return on_gpu, (self.host,)

    def close(self) -> None:
        """Do nothing: what lies on the card goes with this object."""


def on_gpu(host: Batched) -> OnGpu:
    """Return copies on the GPU that go on from those of a CPU."""
    made = OnGpu.__new__(OnGpu)
    made._go_on_from(host)
    return made
