"""The contract of `Learner`, over every variant of algorithms.toml: a new one joins by being listed
there.
"""

import io
import math
from typing import Any

import pytest
import torch
from learning import (  # noqa: F401
    VARIANTS,
    Player,
    as_in_training,
    differing,
    known,
    lengthy,
    optimisers,
    parameters,
    same,
    snapshot,
    structures,
)

from partage import envs, learners
from partage.errors import UserError
from partage.rl.rollout import collect_episodes, collect_segment
from partage.runs.learner_contract import Restricted
from partage.sharing.overlap import Shares
from partage.sims.roll_call import ceiling

every_variant = pytest.mark.parametrize("variant", differing())
every_structure = pytest.mark.parametrize("variant", structures())
SMALL = "roll_call/3x3-5"


def few(variant: str) -> dict[str, Any]:
    """Settings under which a learner of whole episodes trains after a few of them."""
    return {
        k: v for k, v in {"batch": 8, "copies": 4, "target_every": 8}.items() if k in known(variant)
    }


def policies(player: Player, run: int) -> list[int]:
    """Who can act differently: agents with the same sets in every block, unless an id tells them
    apart.
    """
    acting = [x for block, x in player.learner.sharing().items() if block != "critic"]
    indices = [x.index if isinstance(x, Shares) else x for x in acting]
    blocks = [index[run].tolist() for index in indices]
    if player.learner.settings.sharing == "id":
        return list(range(player.env.spec.n_agents))
    sets = list(zip(*blocks, strict=True))
    return [sets.index(own) for own in sets]


@every_variant
def test_it_reaches_its_roll_call_ceiling_and_never_passes_it(variant: str) -> None:
    # RODE before it takes actions away; no action here has an effect of its own that could
    # represent it, so that what it happened to start with does
    early = {"encode_until": 10**9, "encoder_lr": 0.0, "representations": "learned"}
    whole = {k: v for k, v in early.items() if k in known(variant)}
    player = Player(
        variant, "roll_call/4x3-6", [0, 1], **whole
    )  # one policy for 0, 1, 2, 0 is right for half at best
    reached = []
    for _ in range(40):
        returns = player.learn(10).evaluate()
        best = torch.tensor(
            [ceiling(6, 4, 3, policies(player, run)) for run in range(2)]
        )  # sharing may move
        assert (returns <= best + 1e-5).all(), "agents that share a policy acted differently"
        reached.append(bool((returns >= best - 1e-5).all()))
        if reached[-2:] == [True, True]:
            break
    if (
        VARIANTS[variant].settings.get("returns") != "legacy"
    ):  # those drop the terminal reward: nothing to reach it by
        assert reached[-2:] == [True, True], f"{returns.tolist()} of {best.tolist()}"


@every_variant
def test_runs_of_different_seeds_have_other_networks_and_other_noise(variant: str) -> None:
    player = Player(variant, "roll_call/4x3-6", [0, 1, 0])
    for name, p in parameters(player.learner).items():
        assert torch.equal(p[0], p[2]), name
        if name.endswith("weight") and p.any():  # HyperMARL's constants start at 0
            assert (p[0] != p[1]).all(), name
    for p in parameters(player.learner).values():
        p.data[1] = p.data[0]
    actions = player.collect().actions
    assert torch.equal(actions[0], actions[2]) and not torch.equal(actions[0], actions[1])


@every_structure
def test_a_run_is_the_same_alone_and_in_a_pack_of_five_to_the_last_bit(variant: str) -> None:
    """Here every batch has an episode up to the horizon; `test_qmix` shows that longer padding
    moves nothing.
    """
    task = lengthy(variant)
    more = {
        k: v
        for k, v in {"batch": 32, "copies": 8, "target_every": 40}.items()
        if k in known(variant)
    }
    alone, packed = (
        Player(variant, task, [3], **more),
        Player(variant, task, [1, 2, 3, 4, 5], **more),
    )
    start = snapshot(packed.learner)
    lengths: set[int] = set()
    for _ in range(25 if alone.learner.segment else 8):
        one, all_runs = alone.collect(), packed.collect()
        lengths |= set(all_runs.filled.sum(2).flatten().tolist())
        few, many = alone.learner.learn(one), packed.learner.learn(all_runs)
        for name, measure in few.items():
            assert torch.equal(measure[0], many[name][2]), name
    for name, p in parameters(packed.learner).items():
        assert torch.equal(p[2], parameters(alone.learner)[name][0]), name
        if p.requires_grad:
            assert not torch.equal(p, start[name]), f"{name} was never trained"
    assert alone.learner.segment or len(lengths) > 3, "all episodes were equally long"


@every_structure
def test_every_trained_parameter_is_in_exactly_one_optimiser_and_a_view_of_its_flat_tensor(
    variant: str,
) -> None:
    player = Player(variant, SMALL, [0, 1], **few(variant)).learn(6)
    player.learner.load_state_dict(player.learner.state_dict())  # loading must not cut the views
    trained = [id(p) for p in parameters(player.learner).values() if p.requires_grad]
    held = [id(p) for optimiser in optimisers(player.learner) for p in optimiser.parameters]
    assert len(held) == len(set(held)) and set(held) == set(trained) and held
    for optimiser in optimisers(player.learner):
        assert [id(p) for group in optimiser.torch.param_groups for p in group["params"]] == [
            id(optimiser.flat)
        ]
        start = 0
        for p in optimiser.parameters:
            assert p.is_contiguous() and p.data_ptr() == optimiser.flat.data_ptr() + 4 * start
            start += p.numel()
        assert start <= optimiser.flat.numel() < start + 64
        assert not optimiser.flat[start:].any()  # the padding never moves


@every_structure
def test_evaluating_does_not_disturb_training(variant: str) -> None:
    quiet, watched = (Player(variant, lengthy(variant), [4, 5], **few(variant)) for _ in range(2))
    quiet.learn(4)
    watched.learn(2)
    first, again = watched.evaluate(copies=2), watched.evaluate(copies=2)
    assert torch.equal(first, again)
    watched.learn(2)
    assert same(snapshot(quiet.learner), snapshot(watched.learner))
    assert all(
        torch.equal(a, b) for a, b in zip(quiet.collect()[:6], watched.collect()[:6], strict=True)
    )


@every_structure
def test_going_on_from_a_saved_state_is_going_on(variant: str) -> None:
    player = Player(variant, lengthy(variant), [4, 5], **few(variant)).learn(4)
    other = Player(variant, lengthy(variant), [8, 9], **few(variant)).learn(1)
    file = io.BytesIO()
    torch.save(player.learner.state_dict(), file)
    file.seek(0)
    other.learner.load_state_dict(torch.load(file, weights_only=True))
    other.step, other.memory = other.env.load_state_dict(player.env.state_dict()), player.memory
    for one in (player, other):
        one.learn(3)
    assert same(snapshot(player.learner), snapshot(other.learner))


@every_variant
@pytest.mark.parametrize("explore", [True, False])
def test_only_legal_actions_are_chosen(variant: str, explore: bool) -> None:
    player = Player(variant, "roll_call/3x5-12", [0, 1])
    restricted = Restricted(envs.make("roll_call/3x5-12", [0, 1], player.learner.copies))
    if explore and player.learner.segment:
        collect_segment(restricted, player.learner.policy, restricted.reset(), None, 24)
    else:
        collect_episodes(
            restricted, player.learner.policy, torch.ones(2, dtype=torch.bool), explore
        )
    assert restricted.only > 20  # often there was no choice
    assert (restricted.seen > 0).all() and int(
        restricted.seen.sum()
    ) >= 2 * 3 * 12 * player.learner.copies


@every_structure
def test_it_learns_where_actions_are_illegal(variant: str) -> None:
    player = Player(variant, "roll_call/3x5-12", [0, 1], **few(variant))
    player.env = Restricted(player.env)
    start = snapshot(player.learner)
    now = snapshot(player.learn(6).learner)
    assert all(x.isfinite().all() for x in now.values()) and not same(start, now)


def test_an_unknown_learner_or_setting_is_refused() -> None:
    spec = envs.make(SMALL, [0], 1).spec
    with pytest.raises(UserError, match=r"Unknown learner 'nothing' .*known are a2c"):
        learners.make("nothing", spec, {}, [0])
    for name in sorted({variant.learner for variant in VARIANTS.values()}):
        with pytest.raises(UserError, match="wind"):
            learners.make(name, spec, {"wind": 3}, [0])
        for wrong in ({"gamma": "0.9"}, {"copies": 8.5}, {"lr": math.nan}, {"sharing": "nome"}):
            with pytest.raises(UserError, match=f"'{next(iter(wrong))}'"):
                learners.make(name, spec, wrong, [0])


def test_every_learner_has_a_variant_and_so_meets_this_contract() -> None:
    files = {path.stem for path in learners.FOLDER.glob("[a-z]*.py")}
    assert files == {variant.learner for variant in VARIANTS.values()}
