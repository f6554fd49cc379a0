"""Dynamic sharing in a training loop of one's own: four agents, two jobs, nobody says which.

All start with one front network. Agents 0 and 1 are paid for one action, 2 and 3 for the opposite;
their policies part, and so do their networks. Run it: ``python examples/share_in_my_loop.py``.
"""

import torch
from torch import nn

import partage

AGENTS, BATCH = 4, 64
torch.manual_seed(0)
torch.set_num_threads(1)  # the networks are small
fronts = nn.ModuleList(nn.Sequential(nn.Linear(3, 32), nn.Tanh()) for _ in range(AGENTS))
backs = nn.ModuleList(nn.Linear(32, 2) for _ in range(AGENTS))
optimiser = torch.optim.Adam([*fronts.parameters(), *backs.parameters()], lr=1e-2)
sharing = partage.DynamicSharing(fronts, backs, optimiser, fuse=0.5, period=50, data=10)


def act(n: int, obs: torch.Tensor) -> torch.Tensor:
    """Return the act probabilities [S, A] of agent n on observations [S, O]."""
    return sharing.back(n)(sharing.front(n)(obs)).softmax(-1)


for update in range(1, 201):
    obs = torch.randn(BATCH, AGENTS, 3)  # what each agent meets
    paid = (obs[..., 0] > 0).long()  # the action that agents 0 and 1 are paid for
    paid[:, 2:] = 1 - paid[:, 2:]
    loss = torch.zeros(())
    for n in range(AGENTS):
        loss = loss - act(n, obs[:, n]).gather(-1, paid[:, n, None]).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    sharing.observe(obs)
    for move in sharing.update(act):
        print(f"update {update}: agent {move.agent}'s {move.block} is now {move.target}")
print("fronts:", sharing.front_of, " backs:", sharing.back_of, f" loss: {loss.item():.2f}")
