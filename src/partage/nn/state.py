"""What networks keep besides parameters: who goes through which set, saved and loaded with them.

An assignment that networks compute by is a buffer, so it lies in every saved state, in the target
networks' too. It stays on the CPU on every device: that is where sets are picked.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from partage.sharing.assignment import Assignment


def hold(networks: nn.Module, **assignments: Assignment) -> None:
    """Make these assignments buffers of the networks: ``hold(self, front_of=index)``.

    They are moved by setting the attribute, as in ``networks.front_of = other``.
    """
    for name, index in assignments.items():
        networks.register_buffer(name, index.clone())


def move(networks: nn.Module, device: torch.device) -> None:
    """Move networks to a device, all but their assignments."""
    held = _held(networks)
    networks.to(device)
    for name, index in held.items():
        setattr(networks, name, index)


def load(networks: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take over a state of these networks.

    One without assignments was saved before they lay in it: then theirs stay as they are.
    """
    for name, index in _held(networks).items():
        # of its own: two may have been set to one tensor, and loading writes in place
        setattr(networks, name, index.clone())
    networks.load_state_dict({**_held(networks), **state})


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


def _held(networks: nn.Module) -> dict[str, Tensor]:
    """Return the networks' assignments by name: their buffers of whole numbers."""
    own = networks.named_buffers(recurse=False)
    return {name: x for name, x in own if x.dtype == torch.int64}
