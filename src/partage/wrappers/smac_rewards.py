"""Pay a step as SMAC's arguments ask (oxwhirl/smac, `reward_battle` and `step`)."""

import numpy as np
from jaxtyping import Float64

from partage.wrappers.smac_arguments import Arguments


def strengths(units: np.ndarray) -> Float64[np.ndarray, "U"]:
    """Return the health and shield of one battle's units ``[U]``; 0 of the dead."""
    return np.where(units["health"] > 0, units["health"] + units["shield"], 0.0)


def battle_reward(given: Arguments, before: np.ndarray, now: np.ndarray, n_agents: int) -> float:
    """Return what the losses of a step pay, not scaled; `before` and `now` are its units ``[U]``.

    It is what the enemies have lost, and `reward_death_value` for each that died; unless only that
    pays, less the same of ours times `reward_negative_scale`.
    """
    if given.reward_sparse:
        return 0.0
    lost = strengths(before) - strengths(now)
    killed = (strengths(before) > 0) & (strengths(now) == 0)
    losses = lost + given.reward_death_value * killed
    theirs = float(losses[n_agents:].sum())
    if given.reward_only_positive:
        return abs(theirs)  # what enemies regain pays, too
    return theirs - given.reward_negative_scale * float(losses[:n_agents].sum())


def step_reward(given: Arguments, battle: float, outcome: int | None, max_reward: float) -> float:
    """Return a step's reward: its battle's, and what SMAC pays for the outcome.

    The outcome is 1 of a battle won, -1 lost, 0 of one where nobody is left, None of one that goes
    on or is out of time.
    """
    if given.reward_sparse:
        reward = float(outcome or 0)
    else:
        reward = battle + {1: given.reward_win, -1: given.reward_defeat}.get(outcome or 0, 0)
    return reward / (max_reward / given.reward_scale_rate) if given.reward_scale else reward


def largest_reward(given: Arguments, enemies: np.ndarray) -> float:
    """Return what a battle won pays, not scaled, without what enemies regain.

    `enemies` are their traits, ``[E]``.
    """
    strength = float((enemies["health_max"] + enemies["shield_max"]).sum())
    return len(enemies) * given.reward_death_value + given.reward_win + strength
