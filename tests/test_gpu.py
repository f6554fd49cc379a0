"""A thread or a warp for each copy: the same episodes as one CPU's loop. The GPU is played by a
stand-in, one thread or a few together after the other, in the compiled code of the CPU.

`test_cuda` has the real one.
"""

import copy
import pickle

import numpy as np
import pytest
import torch
from card import StandIn, play

from partage import envs
from partage.errors import UserError
from partage.sims import card as card_module
from partage.sims import gpu
from partage.sims.skirmish.data import maps
from partage.sims.skirmish.rules import make_rules
from partage.sims.skirmish.together import at_once
from partage.sims.skirmish.world import UNIT

TASKS = [
    "smac/3s5z_vs_3s6z",
    "smac/MMM2",
    "lbf/8x8-3p-2f-v2",
    "mpe/15a_3c",
    "mpe/15a_3c_shuffle",
    "mpe/15a_3c_original",
    "mpe/simple_spread_v3",
    "roll_call/4x4-8",
]


MIDST = {
    "smac/3m": 12,
    "smac/MMM2": 14,
    "smac/2c_vs_64zg": 12,
    "smac/bane_vs_bane": 10,
}  # of a fight


@pytest.fixture
def card(monkeypatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(gpu, "Card", lambda: stand_in)
    return stand_in


@pytest.mark.parametrize("task", TASKS)
def test_a_thread_for_each_copy_plays_the_cpu_s_episodes(task: str, card: StandIn, monkeypatch):
    monkeypatch.setattr(card, "lanes", 1)
    here, there = (envs.make(task, [3, 4], 35, device=device) for device in ("cpu", "cuda"))
    ours, theirs = (play(each, each.reset(), 12, 0) for each in (here, there))
    assert all(map(torch.equal, ours, theirs))
    assert card.launched == 25  # a start, and then a step and a masked start twelve times


@pytest.mark.parametrize("task", ["smac/3m", "smac/MMM2", "smac/2c_vs_64zg", "smac/bane_vs_bane"])
def test_lanes_play_a_battle_together_as_the_cpu_plays_it_alone(task: str, card: StandIn):
    here, there = (envs.make(task, [3], 1, device=device) for device in ("cpu", "cuda"))
    there.reset()  # which writes what is overwritten
    play(here, here.reset(), MIDST[task], 0)
    instants = here.now, there.load_state_dict(here.state_dict())
    ours, theirs = (
        play(each, step, 2, 1) for each, step in zip((here, there), instants, strict=True)
    )
    assert all(map(torch.equal, ours, theirs))
    units = [each.state_dict()["sim"]["units"].numpy().view(UNIT) for each in (here, there)]
    for name in set(UNIT.names or ()) - {"neighbour"}:  # which is scratch
        assert np.array_equal(units[0][name], units[1][name]), name


def test_a_battle_begins_on_lanes_as_on_the_cpu(card: StandIn):
    here, there = (envs.make("smac/3s5z", [3], 2, device=device) for device in ("cpu", "cuda"))
    assert all(map(torch.equal, here.reset(), there.reset()))


def test_on_every_map_a_side_may_act_at_once():
    for battle_map in maps().values():
        assert at_once(make_rules(battle_map)), battle_map.name


def test_sides_with_two_healers_or_a_healer_beside_banelings_may_not_act_at_once():
    rules = make_rules(maps()["MMM2"])
    healer = int(rules.heals.argmax())
    for name, value in (("heals", 1), ("blast", 1.0)):
        traits = rules.traits.copy()
        traits[healer - 1][name] = value
        assert not at_once(rules._replace(traits=traits))


def test_threads_beyond_the_last_copy_touch_nothing(card: StandIn, monkeypatch):
    monkeypatch.setattr(card, "threads", lambda copies: (-(-copies // 64), 64))
    here, there = (envs.make("lbf/8x8-3p-2f-v2", [3], 70, device=d) for d in ("cpu", "cuda"))
    assert all(map(torch.equal, *(play(each, each.reset(), 3, 0) for each in (here, there))))


@pytest.mark.parametrize("task", ["lbf/8x8-3p-2f-v2", "mpe/15a_3c"])
def test_episodes_go_on_from_what_was_saved_on_either_device(task: str, card: StandIn):
    made = [envs.make(task, [1], 4, device=device) for device in ("cuda", "cuda", "cpu")]
    play(made[0], made[0].reset(), 5, 1)
    saved = made[0].state_dict()
    first, *others = [play(each, each.load_state_dict(saved), 5, 2) for each in made]
    for other in others:
        assert all(map(torch.equal, first, other))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_on_from_the_same_state_by_itself(copied, card: StandIn):
    made = envs.make("lbf/8x8-3p-2f-v2", [1], 4, device="cuda")
    play(made, made.reset(), 3, 1)
    other = copied(made)
    assert all(map(torch.equal, play(made, made.now, 4, 2), play(other, other.now, 4, 2)))


def test_the_state_that_is_all_observations_lies_in_their_memory(card: StandIn):
    now = envs.make("lbf/8x8-3p-2f-v2", [1], 4, device="cuda").reset()
    assert now.state.data_ptr() == now.obs.data_ptr()


def test_what_is_no_action_is_played_as_the_nearest_one(card: StandIn):
    here, there = (envs.make("lbf/8x8-3p-2f-v2", [1], 4, device=d) for d in ("cpu", "cuda"))
    here.reset(), there.reset()
    actions = torch.tensor([-7, 3, 99]).expand(1, 4, 3)
    assert all(map(torch.equal, here.step(actions.clamp(0, 5)), there.step(actions)))


def test_other_axes_than_the_env_s_are_refused(card: StandIn):
    made = envs.make("lbf/8x8-3p-2f-v2", [1, 2], 4, device="cuda")
    with pytest.raises(UserError, match=r"Expected a mask of \[2, 4\]"):
        made.reset(torch.ones(4, 2, dtype=torch.bool))
    made.reset()
    with pytest.raises(UserError, match=r"Expected a tensor of int64 actions of shape \(2, 4, 3\)"):
        made.step(torch.zeros(4, 2, 3, dtype=torch.int64))


@pytest.mark.parametrize("task", ["smac/3m", "lbf/8x8-3p-2f-v2", "mpe/15a_3c", "roll_call/4x4-8"])
def test_without_a_gpu_the_option_is_refused_and_says_what_to_do(task: str):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match=r"numba-cuda.*leave the option out"):
        envs.make(task, [0], 1, device="cuda")


def test_a_numba_cuda_that_does_not_load_is_refused_with_the_versions_that_are_there(monkeypatch):
    def fails(name: str):
        raise AttributeError("module 'numpy' has no attribute 'row_stack'")

    monkeypatch.setattr(card_module, "import_module", fails)
    with pytest.raises(UserError) as refused:
        envs.make("lbf/8x8-3p-2f-v2", [0], 1, device="cuda")
    said = str(refused.value)
    assert "pip install 'numpy<2.5'" in said and "no attribute 'row_stack'" in said
    assert f"numpy {np.__version__}" in said and "\n" not in said


def test_a_version_is_asked_for_that_no_package_has():
    assert card_module.installed("no-such-package-at-all") == "missing"


@pytest.mark.parametrize(
    ("copies", "block"), [(1, 1), (160, 1), (1000, 2), (4096, 8), (16_384, 32), (10**6, 32)]
)
def test_few_copies_get_a_warp_each_and_many_fill_their_warps(
    copies: int, block: int, card: StandIn
):
    assert card.threads(copies) == (-(-copies // block), block)


@pytest.mark.parametrize(("copies", "lanes"), [(160, 4), (1056, 4), (1057, 1), (16_384, 1)])
def test_lanes_play_where_copies_are_too_few_to_fill_a_card(copies: int, lanes: int, card: StandIn):
    assert card.lanes_of(copies) == lanes


def test_the_game_itself_has_no_such_option():
    with pytest.raises(UserError, match="Unknown option 'device'"):
        envs.make("smac/3m", [0], 1, engine="package", device="cuda")
