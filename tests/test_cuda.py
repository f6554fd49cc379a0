"""The same code on a GPU (``make test-gpu``). Where there is none, these tests say so and skip."""

import pytest
import torch

from partage import envs, learners
from partage.nn.gru import GRUWeights, run_gru_torch
from partage.rl import rollout
from partage.runs.process import prepare
from partage.sims.contract import Env

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch finds no CUDA device on this machine"
)
TASK = "roll_call/4x4-8"
SETTINGS = {
    "a2c": {"lr": 3e-3},
    "bdps": {"epsilon_anneal": 3000, "period": 2},
    "cds": {},
    "eoi": {},
    "mdps": {},
    "qmix": {"epsilon_anneal": 3000},
    "rode": {"clusters": 3},
    "seps": {},
}
CAPTURED = ("a2c", "bdps", "mdps", "qmix")
MOVES = {"mdps": {"period": 8, "data": 4, "fuse": 0.02}}  # several times in 30 updates


@pytest.fixture(autouse=True)
def as_in_training():
    prepare("cuda")
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)


class Trained:
    """Two runs of a learner, which plays roll call on its device or on the CPU."""

    def __init__(self, name: str, learns_on: str, plays_on: str, **more: object) -> None:
        probe = envs.make(TASK, [0], 1)
        settings = {**SETTINGS[name], "copies": 8, **more}
        self.learner = learners.make(name, probe.spec, settings, [0, 1], learns_on)
        self.env: Env = envs.make(TASK, [0, 1], 8, device=plays_on)
        self.everyone = torch.ones(2, dtype=torch.bool)
        self.step = self.env.reset()

    def update(self) -> dict[str, torch.Tensor]:
        policy, segment = self.learner.policy, self.learner.segment
        if segment is None:
            found = rollout.collect_episodes(self.env, policy, self.everyone, True)
        else:
            found, self.step, _ = rollout.collect_segment(
                self.env, policy, self.step, None, segment
            )
        return self.learner.learn(found)

    def after(self, updates: int) -> "Trained":
        for _ in range(updates):
            self.measures = {key: value.cpu() for key, value in self.update().items()}
        return self

    def parameters(self) -> list[torch.Tensor]:
        state = self.learner.state_dict(replay=False)
        state = state.get("a2c", state)
        return [x.cpu() for x in (state.get("nets") or state["net"]).values()]


@pytest.mark.parametrize("name", SETTINGS)
def test_each_learner_learns_on_the_gpu_what_the_cpu_plays(name: str):
    measures = Trained(name, "cuda", "cpu").after(6).measures
    assert all(value.isfinite().all() for value in measures.values())


@pytest.mark.parametrize("sharing", ["full", "id", "none"])
@pytest.mark.parametrize("name", ["a2c", "qmix"])
def test_the_first_updates_on_the_gpu_are_those_on_the_cpu_to_rounding(name: str, sharing: str):
    here = Trained(name, "cpu", "cpu", sharing=sharing).after(6)
    there = Trained(name, "cuda", "cuda", sharing=sharing).after(6)
    for key, value in here.measures.items():
        torch.testing.assert_close(there.measures[key], value, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", CAPTURED)
def test_nothing_waits_for_the_gpu_within_an_episode_or_an_update(name: str):
    trained = Trained(name, "cuda", "cuda").after(6)  # of which the first are not captured
    warmed = trained.learner
    trained = Trained(name, "cuda", "cuda")
    trained.learner = warmed  # on another environment: its episodes are not captured yet
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(6):
            trained.update()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", CAPTURED)
def test_two_runs_on_the_gpu_are_equal_and_graphs_do_what_was_captured(name: str):
    found = [Trained(name, "cuda", "cuda", **MOVES.get(name, {})) for _ in range(3)]
    learner = getattr(found[2].learner, "base", found[2].learner)
    for part in (learner.updating, learner.policy, getattr(learner, "storing", learner.updating)):
        part.captured = False
    first, *others = [trained.after(30).parameters() for trained in found]
    for other in others:
        assert all(map(torch.equal, first, other))


@pytest.mark.parametrize("name", ["a2c", "qmix"])
def test_a_learner_without_sharing_reaches_its_roll_call_ceiling_on_the_gpu(name: str):
    trained = Trained(name, "cuda", "cuda", sharing="none").after(600 if name == "a2c" else 200)
    test, everyone = envs.make(TASK, seeds=[5, 6], copies=4), torch.ones(2, dtype=torch.bool)
    greedy = rollout.collect_episodes(test, trained.learner.policy, everyone, False)
    assert greedy.reward[..., 0].sum(2).min() == test.spec.horizon


def test_fused_gates_are_the_plain_ones_forward_and_backward():
    generator = torch.Generator().manual_seed(0)
    sizes = (3, 7, 48), (3, 48), (3, 16, 48), (3, 48), (3, 6, 5, 7), (3, 5, 16)
    given = [torch.randn(size, generator=generator) for size in sizes]
    results = []
    for device in ("cpu", "cuda"):
        wx, bx, wh, bh, x, h = own = [y.detach().to(device).requires_grad_() for y in given]
        states = run_gru_torch(x, h, GRUWeights.of(wx, bx, wh, bh))
        results.append([states, *torch.autograd.grad(states.square().sum(), own)])
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3)
