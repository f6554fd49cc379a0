"""Two episodes of a made-up task, padded as one likes: what padding must not move."""

from typing import Any

import torch
from learning import same, snapshot
from torch import Tensor

from partage.sims.contract import Spec

SPEC = Spec(4, n_actions=3, obs_dim=5, state_dim=12, horizon=6, common_reward=True)
LENGTHS = torch.tensor([4, 2])[None, :, None]  # of two episodes, in steps


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def batch(time: int) -> dict[str, Tensor]:
    """The two episodes of two runs, padded to so many steps."""
    instants = torch.arange(time + 1)
    filled = (instants[:-1] < LENGTHS).expand(2, -1, -1)
    seen = (instants <= LENGTHS).expand(2, -1, -1)
    obs, state = noise(0, 2, 2, 7, 4, 5)[:, :, : time + 1], noise(1, 2, 2, 7, 12)[:, :, : time + 1]
    return {
        "obs": obs * seen[..., None, None],
        "state": state * seen[..., None],
        "actions": filled.long()[..., None].expand(-1, -1, -1, 4).contiguous(),
        "avail_actions": torch.ones(2, 2, time + 1, 4, 3, dtype=torch.bool),
        "team_reward": filled.float(),
        "terminated": (instants[:-1] == LENGTHS - 1).expand(2, -1, -1),
        "filled": filled,
    }


def padding_moves_nothing(left: Any, right: Any) -> None:
    """Updates from longer padding move two equal learners, and their generators, alike."""
    start, active = snapshot(left), torch.ones(2, dtype=torch.bool)
    for one, time in ((left, 4), (right, 6)):
        for _ in range(2):
            one.update(batch(time), active)
    assert same(snapshot(left), snapshot(right)) and not same(start, snapshot(left))
    states = [[g.get_state().tolist() for g in one.generators] for one in (left, right)]
    assert states[0] == states[1]
