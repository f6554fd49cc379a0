"""mpe2's simple_spread_v3: N agents cover N landmarks, any agent any landmark.

Agents push each other apart. An agent observes velocity, position, and landmarks and other agents
relative to itself. It earns half of minus the sum over landmarks of the nearest agent's distance,
and half of -1 for each agent it touches.
"""

import math

import numpy as np
from jaxtyping import Float32, Float64

from partage.sims.compilation import inlined

CONTACT_FORCE = 100.0
CONTACT_MARGIN = 1e-3
TOUCH = 0.3  # distance of two agents that touch
LOCAL = 0.5  # weight of an agent's own part of the reward


@inlined
def gap(one: Float64[np.ndarray, "2"], other: Float64[np.ndarray, "2"]) -> float:
    """Return the distance of two points."""
    return math.sqrt((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2)


@inlined
def push(force: Float64[np.ndarray, "N 2"], position: Float64[np.ndarray, "N 2"]) -> None:
    """Add the contact forces of all pairs, softened around the distance at which they touch."""
    n_agents = len(position)
    for a in range(n_agents):
        for b in range(a + 1, n_agents):
            dx = position[a, 0] - position[b, 0]
            dy = position[a, 1] - position[b, 1]
            distance = math.sqrt(dx * dx + dy * dy)
            depth = -(distance - TOUCH) / CONTACT_MARGIN
            # log(1 + exp(depth)), without overflow
            overlap = (max(depth, 0.0) + math.log1p(math.exp(-abs(depth)))) * CONTACT_MARGIN
            force[a, 0] = CONTACT_FORCE * dx / distance * overlap + force[a, 0]
            force[a, 1] = CONTACT_FORCE * dy / distance * overlap + force[a, 1]
            force[b, 0] = -(CONTACT_FORCE * dx / distance * overlap) + force[b, 0]
            force[b, 1] = -(CONTACT_FORCE * dy / distance * overlap) + force[b, 1]


@inlined
def earn(
    position: Float64[np.ndarray, "N 2"],
    landmark: Float64[np.ndarray, "N 2"],
    reward: Float32[np.ndarray, "N"],
) -> None:
    """Pay for landmarks covered, by anyone, and charge for agents touched."""
    covered = 0.0
    for mark in landmark:
        nearest = np.inf
        for n in range(len(position)):
            nearest = min(nearest, gap(position[n], mark))
        covered -= nearest
    for n in range(len(position)):
        touched = 0
        for other in range(len(position)):
            touched += other != n and gap(position[other], position[n]) < TOUCH
        reward[n] = covered * (1 - LOCAL) - touched * LOCAL


@inlined
def observe(
    position: Float64[np.ndarray, "N 2"],
    velocity: Float64[np.ndarray, "N 2"],
    landmark: Float64[np.ndarray, "N 2"],
    obs: Float32[np.ndarray, "N O"],
) -> None:
    """Write velocity, position, landmarks and other agents, in their order.

    What others say (nothing) stays zero.
    """
    n_agents = len(position)
    for n in range(n_agents):
        row, x, y = obs[n], position[n, 0], position[n, 1]
        row[0], row[1], row[2], row[3] = velocity[n, 0], velocity[n, 1], x, y
        for k in range(n_agents):
            row[4 + 2 * k] = landmark[k, 0] - x
            row[5 + 2 * k] = landmark[k, 1] - y
        for k in range(n_agents - 1):
            other = k if k < n else k + 1
            row[4 + 2 * (n_agents + k)] = position[other, 0] - x
            row[5 + 2 * (n_agents + k)] = position[other, 1] - y
