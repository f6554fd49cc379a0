"""The same code on a GPU. Where there is none, these tests say so and are skipped."""

import pytest
import torch

from partage import envs, learners
from partage.rl import rollout

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch finds no CUDA device on this machine"
)
TASK = "roll_call/4x4-8"


def after(
    device: str, name: str, sharing: str, updates: int
) -> tuple[learners.Learner, dict[str, torch.Tensor]]:
    game = envs.make(TASK, seeds=[0, 1], copies=8)
    settings = {"sharing": sharing, "copies": 8} | (
        {"epsilon_anneal": 3000} if name == "qmix" else {"lr": 3e-3}
    )
    learns = learners.make(name, game.spec, settings, [0, 1], device)
    everyone, step = torch.ones(2, dtype=torch.bool), game.reset()
    measures: dict[str, torch.Tensor] = {}
    for _ in range(updates):
        if learns.segment is None:
            collected = rollout.collect_episodes(game, learns.policy, everyone, True)
        else:
            collected, step, _ = rollout.collect_segment(
                game, learns.policy, step, None, learns.segment
            )
        measures = learns.learn(collected)
    return learns, {key: value.cpu() for key, value in measures.items()}


@pytest.mark.parametrize("sharing", ["full", "id", "none"])
@pytest.mark.parametrize("name", ["a2c", "qmix"])
def test_the_first_updates_on_the_gpu_are_those_on_the_cpu_to_rounding(name: str, sharing: str):
    (_, cpu), (_, gpu) = after("cpu", name, sharing, 5), after("cuda", name, sharing, 5)
    for key, value in cpu.items():
        torch.testing.assert_close(gpu[key], value, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", ["a2c", "qmix"])
def test_a_learner_without_sharing_reaches_its_roll_call_ceiling_on_the_gpu(name: str):
    learns, _ = after("cuda", name, "none", 600 if name == "a2c" else 200)
    test = envs.make(TASK, seeds=[5, 6], copies=4)
    greedy = rollout.collect_episodes(test, learns.policy, torch.ones(2, dtype=torch.bool), False)
    assert greedy.reward[..., 0].sum(2).min() == test.spec.horizon


def test_battles_on_the_gpu_are_the_cpu_s_to_rounding_and_go_on_from_what_was_saved():
    pytest.importorskip("numba.cuda")
    here, there = (envs.make("smac/MMM2", [0, 1], 50, device=device) for device in ("cpu", "cuda"))
    step, same = here.reset(), there.reset()
    for _ in range(4):
        for now, then in zip(step, same, strict=True):
            torch.testing.assert_close(then, now, rtol=1e-3, atol=1e-3)
        legal = step.avail_actions.int().argmax(-1)
        step, same = here.step(legal), there.step(legal)
    saved = there.state_dict()
    first = [x.clone() for x in there.step(legal)]
    there.load_state_dict(saved)
    assert all(map(torch.equal, first, there.step(legal)))
