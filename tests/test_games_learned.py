"""What is learned of games with a closed form: the best that a way of sharing allows, no more."""

import pytest
import torch
from learning import Player, as_in_training  # noqa: F401

from partage.config import plan
from partage.sharing.overlap import Shares
from partage.sims.games import ceilings
from partage.sims.games.tasks import Game, named

SHEETS = plan.load()
DRAWN = [*SHEETS.figures["games"].algorithms, *SHEETS.figures["games-qmix"].algorithms, "ippo-ns"]
# In a smaller game: three layers behind the memory learn slowly, whether they are masked or not.
MORE = [
    *("kaleidoscope", "snp-ps", "prism", "gradps", "ldsa", "roma"),
    *("hetdps", "adaps", "fps-bias", "hypermarl", "kaleidoscope-ppo", "lorasa"),
    *("mdps-ppo", "seps-ppo"),
]
every_learner = pytest.mark.parametrize("variant", [*DRAWN, *MORE])


def policies(player: Player, run: int) -> list[int]:
    """Who can act differently: an id in the observation tells all agents apart."""
    if player.learner.settings.sharing == "id":
        return list(range(player.env.spec.n_agents))
    shared = player.learner.sharing().values()
    indices = [x.index if isinstance(x, Shares) else x for x in shared]
    blocks = [index[run].tolist() for index in indices]
    sets = list(zip(*blocks, strict=True))
    return [sets.index(own) for own in sets]


@every_learner
@pytest.mark.parametrize("kind", ["specialisation", "synchronisation"])
def test_it_reaches_the_ceiling_of_its_sharing_and_never_passes_it(variant: str, kind: str) -> None:
    task = f"games/{kind}-{'2x2-3' if variant in MORE else '3x3-4'}"
    player, game = Player(variant, task, [0, 1]), named(task)
    reached = []
    for _ in range(60):
        returns = player.learn(10).evaluate()
        best = torch.tensor([ceilings.greedy(game, policies(player, run)) for run in range(2)])
        assert (returns <= best + 1e-5).all(), "agents that share a policy acted differently"
        reached.append(bool((returns >= best - 1e-5).all()))
        if reached[-2:] == [True, True]:
            break
    assert reached[-2:] == [True, True], f"{returns.tolist()} of {best.tolist()}"


def chances(player: Player) -> torch.Tensor:
    """The first agent's policy at each step of the clock, [R, H, A]."""
    horizon = player.env.spec.horizon
    runs, n_agents = player.env.runs, player.env.spec.n_agents
    obs = torch.eye(horizon)[None, None, :, None].expand(runs, 1, -1, n_agents, -1)
    actions = torch.zeros(runs, 1, horizon, n_agents, dtype=torch.int64)
    return player.learner.probabilities(obs, actions)[:, 0, :, 0]


def test_one_policy_is_drawn_to_chance_in_specialisation_and_away_from_it_to_synchronise() -> None:
    """Two agents, p the chance of the first action: dJ/dp is 1 - 2p, and 2p - 1."""
    for kind, drawn in (("specialisation", True), ("synchronisation", False)):
        player = Player("fps", f"games/{kind}-2x2-3", [0, 1], entropy=0.0).learn(300)
        spread = (chances(player)[..., 0] - 0.5).abs()
        assert bool((spread < 0.2).all()) == drawn and bool((spread > 0.4).all()) != drawn


def test_full_sharing_samples_up_to_the_uniform_ceiling_where_it_plays_greedily_at_the_least() -> (
    None
):
    game = Game("specialisation", 3, 3, 4)
    player = Player("fps", "games/specialisation-3x3-4", [0, 1], copies=256).learn(300)
    sampled = player.collect().reward[..., 0].mean() * game.horizon
    assert sampled.item() == pytest.approx(ceilings.sampled(game, [0] * 3), rel=0.05)
    assert player.evaluate().tolist() == pytest.approx([ceilings.greedy(game, [0] * 3)] * 2)
