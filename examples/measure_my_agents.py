"""How far apart are my agents' policies? Any policies will do: only their probabilities are asked.

Six agents choose among four actions. The first three turn towards a light, the last three away
from it; each has its own temper. Run it: ``python examples/measure_my_agents.py``.
"""

import numpy as np

import partage

AGENTS, OBSERVATIONS = 6, 1200
obs = np.random.default_rng(0).normal(size=(OBSERVATIONS, 2))  # [S, O]: where the light is


def act(agent: int, seen: np.ndarray) -> np.ndarray:
    """Return the act probabilities [S, A] of one agent: left, down, right, up."""
    towards = 1 if agent < 3 else -1
    temper = 2 + 0.1 * agent
    weights = np.exp(towards * temper * np.concatenate((-seen, seen), axis=1))
    return weights / weights.sum(axis=1, keepdims=True)


probs = np.stack([act(agent, obs) for agent in range(AGENTS)])  # [N, S, A], all on the same obs
distances = partage.policy_distance(probs, obs, seed=0)  # [N, N]
print("2-Wasserstein distances of the policies' codes:", distances.round(2), sep="\n")

# who should share, if each has a network of its own by now?
own = np.arange(AGENTS)
front, back, moves = partage.fuse_divide(distances, own, own, fuse=0.2)
print("fronts:", front, " backs:", back)
for move in moves:
    print(f"agent {move.agent} takes the {move.block} of agent {move.partner}")
