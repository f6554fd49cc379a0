"""The way to Stable-Baselines3: SuperSuit copies our environment, and plays it to the end."""

import numpy as np
import pytest

from partage.wrappers.pettingzoo import ParallelTask

supersuit = pytest.importorskip("supersuit", reason="SuperSuit is not installed")


@pytest.mark.parametrize("task", ["smac/3m", "lbf/8x8-2p-2f-v3", "mpe/15a_3c"])
def test_supersuits_copies_play_episodes_of_their_own_to_the_end(task: str) -> None:
    env = ParallelTask(task, action_mask="info")
    vector = supersuit.pettingzoo_env_to_vec_env_v1(env)
    copies = supersuit.concat_vec_envs_v1(vector, 3, num_cpus=1, base_class="gymnasium")
    agents, rng, ended = len(env.possible_agents), np.random.default_rng(0), np.zeros(3, int)
    copies.reset()
    met = []
    for _ in range(130):
        actions = rng.integers(0, env.action_spaces["agent_0"].n, (1, agents)).repeat(3, 0)
        obs, _, terminated, truncated, _ = copies.step(actions.ravel())
        met.append(obs.reshape(3, agents, -1))
        ended += (terminated | truncated).reshape(3, agents)[:, 0]
    assert (ended > 0).all()
    seen = np.stack(met, 1)
    assert (np.ptp(seen, axis=1) > 0).any(axis=(1, 2)).all()  # each copy moves
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.array_equal(seen[one], seen[other])


def test_stable_baselines_3_trains_on_a_battle() -> None:
    ppo = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is not installed").PPO
    vector = supersuit.pettingzoo_env_to_vec_env_v1(ParallelTask("smac/3m", action_mask="info"))
    copies = supersuit.concat_vec_envs_v1(vector, 2, 1, base_class="stable_baselines3")
    model = ppo("MlpPolicy", copies, n_steps=64, batch_size=64, n_epochs=1, device="cpu")
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(384)
    assert model.num_timesteps == 384
    assert any((p != q).any() for p, q in zip(model.policy.parameters(), before, strict=True))
