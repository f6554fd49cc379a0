"""Dynamic parameter sharing in anybody's training loop: MDPS over two lists of modules.

Agent n acts through ``back(n)(front(n)(obs))``, whichever modules these are at the time. The loop
says what agents met and how they would act; every `period` updates their distances are measured,
agents that act alike come to share, and those that part get a copy of their own (MPD Algorithm 1).
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.optim import Optimizer

from partage.distances import distance
from partage.errors import UserError, at_least, one_of
from partage.rl.noise import generators
from partage.sharing.fuse_divide import Move
from partage.sims.contract import stream
from partage.wrappers.arrays import check_thresholds, fuse_divide, measure_samples
from partage.wrappers.samples import Array, read_samples, to_float

Query = Callable[[int, Tensor], Array]  # (agent, obs [S, O]) -> act probabilities [S, A]


class DynamicSharing:
    """Who goes through which of N fronts and N backs, moved as training goes on.

    `fronts` and `backs` hold a module for each agent, all of one shape; `optimiser`, any of
    torch.optim, holds the parameters of all. At the start all agents share a front and each has a
    back of its own (``sharing="front"``), or nobody shares (``"none"``).

    Thresholds are those of `partage.fuse_divide`. Every `period` calls of `update` distances of
    this `kind` are measured on what agents met in the last `data` of them. A fusion changes who
    uses which module and nothing else; a division copies the module and the optimiser's moments.

    `front_of` and `back_of` are lists of the module that each agent uses; `distances [N, N]` are
    the last ones measured (None before). Raises `UserError` for modules that these are not.
    """

    def __init__(
        self,
        fronts: nn.ModuleList,
        backs: nn.ModuleList,
        optimiser: Optimizer,
        *,
        fuse: float = 1.0,
        fuse_back: float = 0.5,
        divide: float = 2.0,
        period: int = 2000,
        data: int = 100,
        kind: str = "wasserstein",
        sharing: str = "front",
        seed: int = 0,
    ) -> None:
        check_thresholds(fuse, fuse_back, divide)
        at_least("data", data, 1)
        at_least("period, which holds the last data updates,", period, data)
        one_of("sharing at the start", sharing, ("front", "none"))
        _check_modules(fronts, backs, optimiser)
        self._thresholds = {"fuse": fuse, "fuse_back": fuse_back, "divide": divide}
        self._period, self._data, self._kind = period, data, distance.known(kind)
        self._fronts, self._backs, self._optimiser = fronts, backs, optimiser
        self._generator = generators([stream(seed, "codes")])[0]
        self._device = next(backs.parameters()).device
        agents = len(fronts)
        self.front_of = [0] * agents if sharing == "front" else list(range(agents))
        self.back_of = list(range(agents))
        self.updates = 0
        self.distances: Float32[Tensor, "N N"] | None = None
        self._met: list[Tensor] = []  # since the last update
        self._obs: list[Tensor] = []  # of the updates that are measured on
        self._probs: list[Tensor] = []

    def front(self, n: int) -> nn.Module:
        """Return the module that agent n's observations go through first."""
        return self._fronts[self.front_of[n]]

    def back(self, n: int) -> nn.Module:
        """Return the module that agent n's features go through after its front."""
        return self._backs[self.back_of[n]]

    def observe(self, obs: Array) -> None:
        """Take in what agents met: ``[.., N, O]`` of all agents, or ``[S, O]`` of anybody.

        Call it before `update`, as often as experience comes.
        """
        met = to_float(obs, "obs")
        if met.dim() < 2 or met.numel() == 0:
            raise UserError(
                f"observe takes what agents met, [.., N, O] or [S, O], but the shape is "
                f"{list(met.shape)}."
            )
        if met.dim() > 2 and met.shape[-2] != len(self._fronts):
            raise UserError(
                f"observe takes [.., N, O] of the {len(self._fronts)} agents, in this order of the "
                f"axes, or [S, O] of anybody, but the shape is {list(met.shape)}."
            )
        if self._in_window(self.updates + 1):
            self._met.append(met.flatten(0, -2).clone())

    def update(self, probs: Array | Query) -> list[Move]:
        """Count an update; when the period is over, measure and move. Returns the moves made.

        Call it after each step of the optimiser. `probs` is what every agent does on what was
        observed since the last call: a function ``probs(n, obs [S, O]) -> [S, A]``, called only
        when distances are measured and then on all that is measured on; or an array ``[N, S, A]``.
        Raises `UserError` for what `partage.policy_distance` refuses; nothing has moved then.
        """
        if not callable(probs) and self._in_window(self.updates + 1):
            self._keep(probs)
        self.updates += 1
        self._obs += self._met
        self._met = []
        if self.updates % self._period:
            return []
        try:
            return self._measure_and_move(probs)
        finally:
            self._obs, self._probs = [], []

    def _in_window(self, update: int) -> bool:
        """Return whether distances are measured on what is met before this update."""
        since = update % self._period
        return since == 0 or since > self._period - self._data

    def _keep(self, probs: Array) -> None:
        """Keep act probabilities for the observations since the last update."""
        given, count = to_float(probs, "probs"), sum(len(met) for met in self._met)
        if given.dim() != 3 or tuple(given.shape[:2]) != (len(self._fronts), count):
            raise UserError(
                f"update takes probs [N, S, A] of {len(self._fronts)} agents on the {count} "
                f"observations since the last update, but their shape is {list(given.shape)}; or "
                f"a function probs(n, obs)."
            )
        self._probs.append(given)

    def _measure_and_move(self, probs: Array | Query) -> list[Move]:
        """Measure distances, and share and part by them."""
        if not self._obs:
            raise UserError("Nothing was observed: call observe(obs) before update(probs).")
        obs = torch.cat(self._obs)
        agents = range(len(self._fronts))
        if callable(probs):
            seen = obs.to(self._device)
            asked = torch.stack([to_float(_asked(probs, n, seen), "probs") for n in agents])
        else:
            asked = torch.cat(self._probs, 1)
        samples = read_samples(asked, obs, kind=self._kind)
        self.distances = measure_samples(samples, self._kind, self._generator)
        front, back = torch.tensor(self.front_of), torch.tensor(self.back_of)
        front, back, moves = fuse_divide(self.distances, front, back, **self._thresholds)
        for move in moves:
            if move.source != move.target:
                modules = self._fronts if move.block == "front" else self._backs
                copy_module(modules[move.source], modules[move.target], self._optimiser)
        self.front_of, self.back_of = front.tolist(), back.tolist()
        return moves

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to go on, the modules and optimiser apart."""
        return {
            "front_of": self.front_of,
            "back_of": self.back_of,
            "updates": self.updates,
            "distances": self.distances,
            "generator": self._generator.get_state(),
            "met": list(self._met),  # lists of its own: ours grow
            "obs": list(self._obs),
            "probs": list(self._probs),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.front_of, self.back_of = list(state["front_of"]), list(state["back_of"])
        self.updates, self.distances = state["updates"], state["distances"]
        self._generator.set_state(state["generator"])
        self._met, self._obs = list(state["met"]), list(state["obs"])
        self._probs = list(state["probs"])


@torch.no_grad()
def _asked(probs: Query, n: int, obs: Tensor) -> Array:
    """Return what agent n does on these observations."""
    return probs(n, obs)


@torch.no_grad()
def copy_module(source: nn.Module, target: nn.Module, optimiser: Optimizer) -> None:
    """Make `target` a copy of `source`: parameters, buffers, and what the optimiser keeps of them.

    The copy then learns on as the original would have (Adam's moments, its count of steps).
    """
    target.load_state_dict(source.state_dict())
    for theirs, ours in zip(source.parameters(), target.parameters(), strict=True):
        ours.grad = None  # of what was there before
        if theirs in optimiser.state:
            optimiser.state[ours] = deepcopy(optimiser.state[theirs])
        else:
            optimiser.state.pop(ours, None)


def _check_modules(fronts: nn.ModuleList, backs: nn.ModuleList, optimiser: Optimizer) -> None:
    """Raise `UserError` unless there is a module of one shape and of its own for each agent."""
    if len(fronts) != len(backs) or len(fronts) < 2:
        raise UserError(
            f"DynamicSharing takes a front and a back for each of two agents at least, but there "
            f"are {len(fronts)} fronts and {len(backs)} backs."
        )
    parameters = [*fronts.parameters(), *backs.parameters()]  # each once
    alone = sum(len(list(module.parameters())) for module in (*fronts, *backs))
    if len({id(p) for p in parameters}) < alone:
        raise UserError(
            "Each front and each back has parameters of its own, which a division can copy, but "
            "some are the same: make them with copy.deepcopy."
        )
    for name, modules in (("fronts", fronts), ("backs", backs)):
        shapes = [_shapes(module) for module in modules]
        if any(shape != shapes[0] for shape in shapes):
            raise UserError(f"All {name} have one shape, so that agents can share them.")
    trained: set[int] = set()
    for group in optimiser.param_groups:
        trained |= {id(p) for p in group["params"]}
    if any(id(p) not in trained for p in parameters):
        raise UserError(
            "The optimiser trains all fronts and all backs, but some parameters are in none of "
            "its groups: give it [*fronts.parameters(), *backs.parameters()]."
        )


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    """Return the shape of each of a module's parameters and buffers, by name."""
    return {name: x.shape for name, x in module.state_dict().items()}
