"""What networks keep besides parameters: who goes through which set, saved and loaded with them.

An assignment that networks compute by is a buffer, so it lies in every saved state, in the target
networks' too. It stays on the CPU on every device: that is where sharing is decided and logged. By
what lies there alone a card computes: it has a copy, in memory that stays, whose numbers `share`
writes; so what was captured once as a graph goes through today's sets.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from partage.sharing.assignment import Assignment, none

THERE = "_there"  # behind the name of an assignment: its copy on a card


def hold(networks: nn.Module, **assignments: Assignment) -> None:
    """Make these assignments buffers of the networks: ``hold(self, front_of=index)``.

    They are moved by `share`, and computed by as `used` gives them.
    """
    for name, index in assignments.items():
        networks.register_buffer(name, index.clone())


def share(networks: nn.Module, **assignments: Assignment) -> None:
    """Have agents go through these sets from here on: ``share(networks, front_of=index)``."""
    for name, index in assignments.items():
        setattr(networks, name, index)
    _send(networks)


def used(networks: nn.Module, name: str) -> Assignment:
    """Return the assignment of this name, where the networks compute by it."""
    there = getattr(networks, name + THERE, None)
    return getattr(networks, name) if there is None else there


def move(networks: nn.Module, device: torch.device, moving: bool = False) -> None:
    """Move networks to a device, all but their assignments; of those a card gets a copy.

    It needs none where nobody ever shares: then no set is picked. `moving` sharing may change.
    """
    held = _held(networks)
    networks.to(device)
    for name, index in held.items():
        setattr(networks, name, index)
        picked = moving or not torch.equal(index, none(*index.shape))
        if device.type != "cpu" and picked:
            networks.register_buffer(name + THERE, index.to(device), persistent=False)


def _send(networks: nn.Module) -> None:
    """Write the assignments into their copies on a card."""
    for name, index in _held(networks).items():
        there = getattr(networks, name + THERE, None)
        if there is not None:
            there.copy_(index)


def load(networks: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take over a state of these networks.

    One without assignments was saved before they lay in it: then theirs stay as they are.
    """
    for name, index in _held(networks).items():
        # of its own: two may have been set to one tensor, and loading writes in place
        setattr(networks, name, index.clone())
    networks.load_state_dict({**_held(networks), **state})
    _send(networks)


@torch.no_grad()
def copy_runs(source: nn.Module, target: nn.Module, where: Bool[Tensor, "R"]) -> None:
    """Give `target` the parameters and buffers that the runs marked have in `source`."""
    if where.all():
        load(target, source.state_dict())
        return
    where, online = where.cpu(), source.state_dict()
    for name, index in _held(target).items():
        setattr(target, name, index.clone())
    for name, x in target.state_dict().items():
        x[where] = online[name][where].to(x.device)
    _send(target)


def _held(networks: nn.Module) -> dict[str, Tensor]:
    """Return the networks' assignments by name: their buffers of whole numbers."""
    own = networks.named_buffers(recurse=False)
    whole = {name: x for name, x in own if x.dtype == torch.int64}
    return {name: x for name, x in whole.items() if not name.endswith(THERE)}
