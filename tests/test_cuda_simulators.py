"""Simulators on a real GPU. Where there is none, these tests say so and are skipped, but for those
that only compile for one.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from card import StandIn, play

from partage import envs
from partage.sims import card, gpu

TASKS = ["smac/MMM2", "lbf/8x8-3p-2f-v2", "mpe/15a_3c_shuffle", "roll_call/4x4-8"]
CONTACTS = "mpe/simple_spread_v3"  # where a last digit of the logarithm may differ


def no_gpu() -> bool:
    return not torch.cuda.is_available()


on_a_gpu = pytest.mark.skipif(no_gpu(), reason="torch finds no CUDA device on this machine")


@on_a_gpu
@pytest.mark.parametrize("task", TASKS)
def test_the_gpu_plays_the_cpu_s_episodes_to_the_bit(task: str):
    here, there = (envs.make(task, [0, 1], 50, device=device) for device in ("cpu", "cuda"))
    assert all(map(torch.equal, *(play(each, each.reset(), 20, 0) for each in (here, there))))


@on_a_gpu
def test_contacts_on_the_gpu_are_the_cpu_s_to_rounding():
    here, there = (envs.make(CONTACTS, [0, 1], 50, device=device) for device in ("cpu", "cuda"))
    ours, theirs = (play(each, each.reset(), 20, 0) for each in (here, there))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


@on_a_gpu
def test_a_gpu_goes_on_from_what_it_has_saved():
    made = envs.make("smac/3m", [0, 1], 50, device="cuda")
    play(made, made.reset(), 5, 0)
    saved = made.state_dict()
    first = play(made, made.now, 5, 1)
    assert all(map(torch.equal, first, play(made, made.load_state_dict(saved), 5, 1)))


@on_a_gpu
@pytest.mark.parametrize("task", [*TASKS, CONTACTS])
def test_steps_and_starts_wait_for_nothing_and_take_no_memory(task: str):
    made: Any = envs.make(task, [0, 1], 50, device="cuda")
    step = made.reset()
    actions, where = step.avail_actions.int().argmax(-1), step.ended
    made.step(actions), made.reset(where)
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            made.step(actions), made.reset(where)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before


@on_a_gpu
@pytest.mark.parametrize("task", TASKS)
def test_a_cuda_graph_holds_a_step_and_a_start(task: str):
    plain, held = (envs.make(task, [0, 1], 50, device="cuda") for _ in range(2))
    step, _ = plain.reset(), held.reset()
    actions, where = step.avail_actions.int().argmax(-1), torch.zeros_like(step.terminated)
    saved = held.state_dict()

    def turn() -> None:
        held.step(actions)
        torch.logical_or(held.now.terminated, held.now.truncated, out=where)
        held.reset(where)

    turn()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        turn()
    same = held.load_state_dict(saved)
    for _ in range(60):  # episodes end meanwhile
        actions.copy_(step.avail_actions.int().argmax(-1))
        step = plain.reset(plain.step(actions).ended)
        graph.replay()
        assert all(map(torch.equal, step, same))


class Compiler(StandIn):
    """A stand-in that compiles for NVIDIA's devices and runs nothing."""

    lanes = card.Card.lanes

    def __init__(self, cuda: Any) -> None:
        super().__init__()
        self.cuda, self.made = cuda, []

    def compile(self, function, given):
        compiled = card.Card.compile(self, function, given)
        for each in compiled.overloads.values():
            self.made.append(each.inspect_asm((9, 0)))
            assert not each._codelibrary._lto  # it would link other code than that
        return compiled


@pytest.mark.parametrize("task", TASKS)
def test_simulators_compile_for_a_gpu_that_is_not_there(task: str, monkeypatch):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed here")
    from numba import cuda
    from numba.cuda import codegen, dispatcher

    capability = SimpleNamespace(compute_capability=(9, 0))
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: capability)
    monkeypatch.setattr(codegen.CUDACodeLibrary, "_ensure_cc", lambda library, cc: (9, 0, "a"))
    monkeypatch.setattr(dispatcher._Kernel, "bind", lambda kernel: None)
    compiler = Compiler(cuda)
    monkeypatch.setattr(gpu, "Card", lambda: compiler)
    envs.make(task, [0, 1], 20, device="cuda")
    assert len(compiler.made) == 2
    if task != "mpe/15a_3c_shuffle":  # whose library code for contacts has some of its own
        assert not any("fma.rn" in text for text in compiler.made)
