"""Made-up episodes of a task's sizes, for the learners to learn from and the replay to hold."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from partage.rl.noise import generators
from partage.rl.replay import Replay
from partage.rl.rollout import Rollout, team_reward
from partage.sims.contract import Spec

LBF = Spec(
    n_agents=4,
    n_actions=6,
    obs_dim=27,
    state_dim=108,
    horizon=50,
    common_reward=False,
    state_is_obs=True,
)
SMALL_MAP = Spec(
    n_agents=5, n_actions=12, obs_dim=55, state_dim=98, horizon=70, common_reward=True
)  # 5m_vs_6m
LARGE_MAP = Spec(
    n_agents=27, n_actions=36, obs_dim=285, state_dim=1170, horizon=180, common_reward=True
)  # 27m_vs_30m
SIZES = {"LBF": LBF, "5m_vs_6m": SMALL_MAP, "27m_vs_30m": LARGE_MAP}


def rollout(spec: Spec, lengths: Tensor, seed: int = 0) -> Rollout:
    """Episodes of these lengths ``[R, B]``, Gaussian numbers in them; seven actions in ten are
    available.
    """
    generator = torch.Generator().manual_seed(seed)
    (r, b), n, a, time = lengths.shape, spec.n_agents, spec.n_actions, int(lengths.max())

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    avail = torch.rand(r, b, time + 1, n, a, generator=generator) < 0.7
    avail[..., 0] = True
    reward = normal(r, b, time, n)
    obs = normal(r, b, time + 1, n, spec.obs_dim)
    state = obs.flatten(-2) if spec.state_is_obs else normal(r, b, time + 1, spec.state_dim)
    return Rollout(
        obs=obs,
        state=state,
        avail_actions=avail,
        alive=torch.ones(r, b, time + 1, n, dtype=torch.bool),
        actions=torch.randint(a, (r, b, time, n), generator=generator),
        reward=reward[..., :1].expand_as(reward) if spec.common_reward else reward,
        terminated=torch.arange(time) == lengths[..., None] - 1,
        truncated=torch.zeros(r, b, time, dtype=torch.bool),
        filled=torch.arange(time) < lengths[..., None],
        score=torch.zeros(r, b, time),
        feature=torch.zeros(r, b, time),
        notes={},
    )


def replay(spec: Spec, lengths: Tensor, seed: int = 0) -> Replay:
    """A replay that holds one such episode for each length."""
    made = Replay(len(lengths), lengths.shape[1], spec)
    full = rollout(spec, lengths, seed)
    made.add(full, {"team_reward": team_reward(full.reward, spec)})
    return made


def batch(spec: Spec, runs: int, size: int) -> dict[str, Tensor]:
    """What the replay gives the learner: `size` full-length episodes of each run."""
    full = torch.full((runs, size), spec.horizon)
    return replay(spec, full).sample(size, generators(range(runs)))


def memory(quick: bool = False) -> list[dict[str, Any]]:
    """Bytes of one episode in the replay, and of 5000 at 27m_vs_30m sizes; measured on `count` and
    scaled.
    """
    rows, count, gib = [], 4 if quick else 50, 2**30
    cases: Sequence[tuple[str, int, float | None]] = [
        ("LBF", 50, None),
        ("5m_vs_6m", 70, None),
        ("27m_vs_30m", 60, 24.0),
        ("27m_vs_30m", 180, None),
    ]
    for name, mean, limit in cases:
        spread = (
            torch.linspace(0.5, 1.5, count) if mean < SIZES[name].horizon else torch.ones(count)
        )
        lengths = (mean * spread).round().long()
        each = sum(replay(SIZES[name], n.view(1, 1)).nbytes() for n in lengths) / count
        what = f"replay, {name} sizes, mean length {mean}"
        note = f"{count} synthetic episodes of {int(lengths.min())} to {int(lengths.max())} steps"
        rows.append(
            {
                "what": what,
                "value": each / 1e6,
                "unit": "MB / episode",
                "target": None,
                "note": note,
            }
        )
        if name == "27m_vs_30m":
            whole = {
                "what": f"{what}: 5,000 episodes",
                "value": 5000 * each / gib,
                "unit": "GiB",
                "most": limit,
            }
            peer = "≈ 39 GB allocated at once (PyMARL, by arithmetic)"
            rows.append(
                {**whole, "target": None, "note": "scaled from the row above", "peer": peer}
            )
    return rows
