"""Specialisation and synchronisation: their pay, what is seen, and the ceilings of any sharing."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partage.envs import make
from partage.errors import UserError
from partage.sims import roll_call
from partage.sims.games import ceilings
from partage.sims.games.ceilings import greedy, most_distinct, of_sets, sampled, symmetry_breaking
from partage.sims.games.tasks import Game, named

SPEC_4 = Game("specialisation", 4, 4, 10)
SYNC_4 = SPEC_4._replace(kind="synchronisation")


def every_joint_action(game: str, n_agents: int, n_actions: int, **options: str) -> torch.Tensor:
    """The first reward of each joint action, [J, N]."""
    joint = torch.tensor(list(product(range(n_actions), repeat=n_agents)))
    env = make(f"games/{game}-{n_agents}x{n_actions}-1", [0], len(joint), **options)
    env.reset()
    return env.step(joint[None]).reward[0].clone()


def test_two_players_earn_what_the_table_of_payoffs_says() -> None:
    # joint actions 00, 01, 10, 11
    spec = every_joint_action("specialisation", 2, 2)
    sync = every_joint_action("synchronisation", 2, 2)
    assert spec[:, 0].tolist() == [0.5, 1, 1, 0.5]
    assert sync[:, 0].tolist() == [1, 0.5, 0.5, 1]


def test_each_agent_earns_by_how_many_chose_as_it_did() -> None:
    actions = torch.tensor([[[0, 0, 0, 2]]])
    for game, own in (
        ("specialisation", [1 / 3, 1 / 3, 1 / 3, 1]),
        ("synchronisation", [3 / 4, 3 / 4, 3 / 4, 1 / 4]),
    ):
        alone, team = (make(f"games/{game}-4x3-2", [0], 1, reward=kind) for kind in ("own", "team"))
        for env in (alone, team):
            env.reset()
        reward = alone.step(actions).reward[0, 0]
        assert reward.tolist() == pytest.approx(own)
        assert team.step(actions).reward[0, 0].tolist() == pytest.approx([sum(own) / 4] * 4)


@pytest.mark.parametrize(("n", "shared", "together"), [(2, 0.75, 0.75), (4, 0.683594, 0.4375)])
def test_agents_who_draw_uniformly_earn_the_closed_form(
    n: int, shared: float, together: float
) -> None:
    spec, sync = (every_joint_action(f"{game}isation", n, n) for game in ("special", "synchron"))
    assert spec.mean().item() == pytest.approx(shared, abs=1e-6)
    assert sync.mean().item() == pytest.approx(together, abs=1e-6)
    assert sampled(Game("specialisation", n, n, 1), [0] * n) == pytest.approx(shared, abs=1e-6)


@pytest.mark.parametrize(
    ("n", "deterministic", "stochastic"),
    [(2, 0.5, 0.75), (4, 0.25, 0.683594), (8, 0.125, 0.656391), (16, 0.0625, 0.643926)],
)
def test_the_ceilings_of_full_sharing_are_those_worked_out_by_hand(
    n: int, deterministic: float, stochastic: float
) -> None:
    spec = Game("specialisation", n, n, 10)
    assert greedy(spec, [0] * n) == pytest.approx(10 * deterministic)
    assert sampled(spec, [0] * n) == pytest.approx(10 * stochastic, abs=1e-5)
    for best in (greedy, sampled):
        assert best(spec, range(n)) == pytest.approx(10)
        for sets in (1, n):
            assert best(spec._replace(kind="synchronisation"), [k % sets for k in range(n)]) == 10


@pytest.mark.parametrize(
    ("partition", "deterministic", "stochastic"),
    [([0, 0, 1, 1], 5, 7.5), ([0, 0, 0, 1], 5, 7.77778), ([0, 0, 1, 2], 7.5, 8.75)],
)
def test_the_ceilings_of_groups_are_those_worked_out_by_hand(
    partition: list[int], deterministic: float, stochastic: float
) -> None:
    assert greedy(SPEC_4, partition) == pytest.approx(deterministic)
    assert sampled(SPEC_4, partition) == pytest.approx(stochastic, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4), st.integers(1, 4), st.data())
def test_the_greedy_ceiling_is_the_best_joint_action_that_the_sharing_allows(
    n: int, n_actions: int, data: st.DataObject
) -> None:
    partition = data.draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
    choices = np.array(list(product(range(n_actions), repeat=n)))[:, partition]
    distinct = max(len(set(choice)) for choice in choices.tolist())
    game = Game("specialisation", n, n_actions, 1)
    assert greedy(game, partition) == pytest.approx(distinct / n)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_stochastic_policies_pass_their_ceiling(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, n_actions = rng.integers(1, 7), rng.integers(1, 6)
    partition = rng.integers(0, n, n)
    policies = rng.dirichlet(np.full(n_actions, rng.choice([0.05, 0.3, 1])), n)[partition]
    distinct = n_actions - (1 - policies).prod(0).sum()
    game = Game("specialisation", int(n), int(n_actions), 1)
    assert distinct / n <= sampled(game, partition.tolist()) + 1e-9


def climbed(sizes: list[int], n_actions: int, rng: np.random.Generator) -> float:
    """How many actions policies name that begin anywhere and climb by a gradient's small steps."""
    logits = torch.tensor(rng.normal(0, 2, (len(sizes), n_actions)), requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        missing = (1 - logits.softmax(-1)) ** torch.tensor(sizes)[:, None]
        lost = missing.prod(0).sum()
        adam.zero_grad()
        lost.backward()
        adam.step()
    return n_actions - lost.item()


@pytest.mark.parametrize(
    ("sizes", "n_actions", "apart"),
    [([2, 2], 3, 2.5), ([3, 2], 3, 2.75), ([2, 2, 2], 4, 3.5), ([3, 1], 4, 28 / 9)],
)
def test_policies_share_an_action_where_that_names_more_of_them(
    sizes: list[int], n_actions: int, apart: float
) -> None:
    rng = np.random.default_rng(0)
    best = most_distinct(sizes, n_actions)
    found = max(climbed(sizes, n_actions, rng) for _ in range(6))
    assert best == pytest.approx(found, abs=2e-3)
    assert (best > apart + 1e-3) == (n_actions < sum(sizes))


@pytest.mark.parametrize(("n", "n_actions"), [(4, 4), (5, 3), (6, 8)])
def test_the_best_split_is_the_best_of_all_splits(n: int, n_actions: int) -> None:
    for sets in range(1, min(n, n_actions) + 1):
        for sizes in ceilings._partitions(n, sets):
            splits = [
                split
                for split in product(range(1, n_actions + 1), repeat=sets)
                if sum(split) == n_actions
            ]
            best = max(sum(map(ceilings._distinct, split, sizes)) for split in splits)
            split = ceilings._best_split(sizes, n_actions)
            assert sum(map(ceilings._distinct, split, sizes)) == pytest.approx(best)


def test_more_sets_are_worth_more_in_specialisation_and_nothing_in_synchronisation() -> None:
    assert [of_sets(SPEC_4, s, greedy) for s in (1, 2, 3, 4)] == [2.5, 5, 7.5, 10]
    chance = [of_sets(SPEC_4, s, sampled) for s in (1, 2, 3, 4)]
    assert chance == pytest.approx([6.83594, 7.77778, 8.75, 10], abs=1e-5)
    assert {of_sets(SYNC_4, s, best) for s in (1, 4) for best in (greedy, sampled)} == {10}


@pytest.mark.parametrize(("n", "n_actions"), [(4, 4), (5, 2), (3, 5)])
def test_a_number_of_sets_does_at_most_what_the_best_partition_into_them_does(
    n: int, n_actions: int
) -> None:
    for sets in range(1, n + 1):
        of_partitions = [
            roll_call.ceiling(8, n, n_actions, partition)
            for partition in product(range(sets), repeat=n)
            if len(set(partition)) == sets
        ]
        game = Game("roll_call", n, n_actions, 8)
        assert of_sets(game, sets, greedy) == pytest.approx(max(of_partitions))


@pytest.mark.parametrize(
    ("n", "horizon", "earned"),
    [(2, 8, 7.502), (2, 10, 9.5005), (3, 8, 7.4189), (3, 10, 9.4172), (4, 8, 7.3636)],
)
def test_one_stochastic_policy_that_sees_its_own_action_breaks_the_symmetry(
    n: int, horizon: int, earned: float
) -> None:
    game = Game("specialisation", n, n, horizon, "own")
    assert symmetry_breaking(game) == pytest.approx(earned, abs=1e-4)
    with pytest.raises(UserError, match="as many actions as agents"):
        symmetry_breaking(game._replace(n_actions=1))


def test_the_rule_that_breaks_the_symmetry_can_be_played_on_what_is_seen() -> None:
    copies, n, horizon = 4000, 3, 8
    env = make(f"games/specialisation-{n}x{n}-{horizon}-own", [0], copies)
    step, generator = env.reset(), torch.Generator().manual_seed(0)
    for _ in range(horizon):
        own, joint = step.obs[..., :n], step.obs[..., n:].reshape(1, copies, n, n, n)
        count = joint.sum(-2)  # [1, C, N, A]: how many of all named each action
        alone = (own * count).sum(-1) == 1
        draw = torch.multinomial(((count != 1) + 1e-9).reshape(-1, n), 1, generator=generator)
        step = env.step(torch.where(alone, own.argmax(-1), draw.reshape(1, copies, n)))
    expected = symmetry_breaking(Game("specialisation", n, n, horizon, "own"))
    assert step.score.mean().item() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("view", ["last", "own"])
def test_where_the_clock_is_hidden_the_last_joint_action_is_seen(view: str) -> None:
    env = make(f"games/synchronisation-3x2-5-{view}", [0, 1], 2)
    step = env.reset()
    assert not step.obs.any() and not step.state.any()
    step = env.step(torch.tensor([0, 1, 1]).expand(2, 2, 3))
    joint = [1, 0, 0, 1, 0, 1]
    own = [[1, 0], [0, 1], [0, 1]] if view == "own" else [[], [], []]
    for n in range(3):
        assert step.obs[1, 0, n].tolist() == own[n] + joint
    assert step.state[1, 0].tolist() == joint


def test_the_clock_ends_an_episode_for_good_only_where_it_is_seen() -> None:
    for name, seen in (("", True), ("-last", False), ("-own", False)):
        env = make(f"games/specialisation-2x2-1{name}", [0], 1)
        env.reset()
        step = env.step(torch.zeros(1, 1, 2, dtype=torch.int64))
        assert step.terminated.item() == seen and step.truncated.item() != seen


@pytest.mark.parametrize("task", ["4x4-8", "specialisation-4x4", "specialisation-0x4-8", "x-2x2-2"])
def test_a_game_outside_the_grammar_is_refused(task: str) -> None:
    with pytest.raises(UserError, match="specialisation-<agents>x<actions>-<horizon>"):
        make(f"games/{task}", [0], 1)


def test_a_partition_of_other_agents_and_a_crowd_are_refused() -> None:
    for best in (greedy, sampled):
        with pytest.raises(UserError, match="4 agents, got 2"):
            best(SPEC_4, [0, 1])
    for sizes, most in (("2000x2-2", "1,000"), ("4x3000-2", "10,000"), ("4x3-10001", "10,000")):
        with pytest.raises(UserError, match=f"at most {most}"):
            named(f"games/specialisation-{sizes}")
