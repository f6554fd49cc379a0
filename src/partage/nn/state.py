"""What networks keep besides parameters: who goes through which set, saved and loaded with them.

An assignment that networks compute by is a buffer, so it lies in every saved state, in the target
networks' too. Whoever sets it, ``networks.front_of = index``, moves the agents. It stays on the CPU
on every device: that is where sharing is decided and logged. By what lies there alone a card
computes: `used` gives it a copy, in memory that stays, and brings that up to date whenever the
assignment is another, also before what was captured as a graph is replayed.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from partage.errors import UserError
from partage.rl.graphs import before_replay
from partage.sharing.assignment import Assignment, none

COPIES = "copies_on_card"  # the attribute of networks on a card


class Copy:
    """An assignment's copy on a card.

    It is not needed where nobody shares: then no set is picked. Once it is, it stays so.
    """

    def __init__(self, index: Assignment, device: torch.device, picked: bool) -> None:
        self.there, self.picked = torch.empty_like(index, device=device), picked
        self.of, self.version = torch.empty(0), -1
        self.renew(index)

    def renew(self, index: Assignment) -> None:
        """Make it a copy of this assignment, if it is none.

        Raises `UserError` for an assignment that lies on the card, or is of another shape.
        """
        if self.of is index and self.version == index._version:  # written in place: another version
            return
        if index.device.type != "cpu" or index.shape != self.there.shape:
            raise UserError(
                f"Who shares is said on the CPU, by an index of shape {list(self.there.shape)}, "
                f"but it was set to one of {list(index.shape)} on {index.device}: `index.cpu()`."
            )
        self.picked = self.picked or not torch.equal(index, none(*index.shape))
        if self.picked:
            self.there.copy_(index)
        self.of, self.version = index, index._version


def hold(networks: nn.Module, **assignments: Assignment) -> None:
    """Make these assignments buffers of the networks: ``hold(self, front_of=index)``.

    They compute by them as `used` gives them.
    """
    for name, index in assignments.items():
        networks.register_buffer(name, index.clone())


def share(networks: nn.Module, **assignments: Assignment) -> None:
    """Have agents go through these sets from here on: ``share(networks, front_of=index)``."""
    for name, index in assignments.items():
        setattr(networks, name, index)
    _send(networks)


def used(networks: object, name: str) -> Assignment:
    """Return the assignment of this name, as networks compute by it where they lie."""
    index, copies = getattr(networks, name), getattr(networks, COPIES, None)
    if copies is None:
        return index
    copy: Copy = copies[name]
    copy.renew(index)
    picked = copy.picked

    def is_as_it_was() -> bool:
        copy.renew(getattr(networks, name))
        return copy.picked == picked

    before_replay(is_as_it_was)
    return copy.there if picked else index


def move(networks: nn.Module, device: torch.device, moving: bool = False) -> None:
    """Move networks to a device, all but their assignments; of those a card gets a copy.

    `moving` sharing changes in training: by its copy a card computes from the start.
    """
    held = _held(networks)
    networks.to(device)
    for name, index in held.items():
        setattr(networks, name, index)
    if device.type != "cpu":
        copies = {name: Copy(index, device, moving) for name, index in held.items()}
        setattr(networks, COPIES, copies)


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


def _send(networks: nn.Module) -> None:
    """Bring the copies on a card up to date at once, and not when they are needed."""
    for name, copy in getattr(networks, COPIES, {}).items():
        copy.renew(getattr(networks, name))


def _held(networks: nn.Module) -> dict[str, Tensor]:
    """Return the networks' assignments by name: their buffers of whole numbers."""
    own = networks.named_buffers(recurse=False)
    return {name: x for name, x in own if x.dtype == torch.int64}
