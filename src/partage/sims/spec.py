"""`Spec`: the sizes of a task. Loads no torch: a worker process needs none."""

from typing import NamedTuple


class Spec(NamedTuple):
    """The sizes of a task: all a learner needs to know of it."""

    n_agents: int
    n_actions: int
    obs_dim: int
    state_dim: int
    horizon: int  # most steps an episode can last
    # True: one team reward, the same number for all agents; False: each agent has its own
    common_reward: bool
    # the state is all agents' observations, one after the other: who stores both stores it once
    state_is_obs: bool = False
    types: tuple[str, ...] = ()  # of each agent, the same in all episodes; (): it names none
