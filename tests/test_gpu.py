"""A thread for each copy: the same battles as one CPU's loop. The GPU is played by a stand-in with
the calls we make of Numba's CUDA target, one thread after the other.

`test_cuda` has the real one.
"""

import numpy as np
import pytest
import torch

from partage import envs
from partage.errors import UserError
from partage.sims import contract, gpu


class There(np.ndarray):
    """An array on the stand-in's device."""

    def copy_to_host(self, out=None):
        if out is None:
            return np.array(self, subok=False)
        out[...] = self
        return out


class StandIn:
    """Numba's `cuda`, as far as `GpuKernel` calls it."""

    def __init__(self) -> None:
        self.thread, self.launched = -1, 0

    def to_device(self, array: np.ndarray) -> There:
        return array.copy().view(There)

    def grid(self, dimensions: int) -> int:
        assert dimensions == 1
        return self.thread

    def jit(self, function):
        def launch(size, *arguments):
            for self.thread in range(size[0] * size[1]):
                function(*(self.bare(each) for each in arguments))
            self.launched += 1

        class Launcher:
            def __getitem__(self, size):
                return lambda *arguments: launch(size, *arguments)

        return Launcher()

    def bare(self, argument):
        """Device arrays as the compiled functions take them."""
        if isinstance(argument, There):
            return argument.view(np.ndarray)
        return (
            type(argument)(*map(self.bare, argument)) if isinstance(argument, tuple) else argument
        )


@pytest.fixture
def cuda(monkeypatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(gpu, "cuda_target", lambda: stand_in)
    return stand_in


def play(made: contract.Env, step: contract.TimeStep, steps: int, seed: int) -> list[torch.Tensor]:
    """Random legal actions from an instant on; what every instant shows."""
    generator, seen = torch.Generator().manual_seed(seed), []
    for _ in range(steps):
        chances = torch.rand(step.avail_actions.shape, generator=generator)
        step = made.step(torch.where(step.avail_actions, chances, -1.0).argmax(-1))
        seen += [x.clone() for x in step]
        if step.ended.any():
            step = made.reset(step.ended.clone())
    return seen


@pytest.mark.parametrize("task", ["smac/3s5z_vs_3s6z", "smac/MMM2"])
def test_a_thread_for_each_copy_plays_the_cpu_s_battles(task: str, cuda: StandIn):
    here, there = (
        envs.make(task, [3, 4], 35),
        envs.make(task, [3, 4], 35, device="cuda"),
    )  # two blocks, the last not full
    for ours, theirs in zip(
        play(here, here.reset(), 12, 0), play(there, there.reset(), 12, 0), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert cuda.launched >= 13


def test_battles_go_on_from_what_was_saved_on_either_device(cuda: StandIn):
    made = [envs.make("smac/3m", [1], 4, device=device) for device in ("cuda", "cuda", "cpu")]
    play(made[0], made[0].reset(), 5, 1)
    saved = made[0].state_dict()
    first, *others = [play(each, each.load_state_dict(saved), 5, 2) for each in made]
    for other in others:
        assert all(map(torch.equal, first, other))


def test_without_a_gpu_the_option_is_refused_and_says_what_to_do():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match=r"numba-cuda.*leave the option out"):
        envs.make("smac/3m", [0], 1, device="cuda")


def test_the_game_itself_has_no_such_option():
    with pytest.raises(UserError, match="Unknown option 'device'"):
        envs.make("smac/3m", [0], 1, engine="package", device="cuda")
