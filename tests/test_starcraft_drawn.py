"""smacv2's own battles through smacv2, with the stand-in game behind it, where that is installed:
its observation code shows what our simulator shows of the same units.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standin import install
from standin.drawn import DrawnBattle, rules_of

from partage.envs import make
from partage.envs.smacv2 import setup_of
from partage.sims.skirmish.armies import find_scenario
from partage.sims.skirmish.drawn import arm
from partage.sims.skirmish.observations import observe
from partage.sims.starcraft.game import Game, Supervision

NEEDS = "smacv2 is not installed: `make starcraft` adds it"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("smacv2") is None, reason=NEEDS)
every_army = pytest.mark.parametrize("army", ["terran", "protoss", "zerg"])


@pytest.fixture
def games(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes games, behind which is the stand-in, and closes them after the test."""
    monkeypatch.setenv("SC2PATH", str(tmp_path / "game"))
    install.lay(tmp_path / "game")
    made: list[Game] = []

    def game(army: str) -> Game:
        scenario = find_scenario(f"{army}_5_vs_5")
        made.append(Game(setup_of(scenario, "v2", Supervision(timeout=300))))
        return made[-1]

    yield game
    for one in made:
        one.close()


@pytest.fixture(autouse=True, scope="session")
def compiled() -> None:
    """The battle, so that no game takes its time over it."""
    battle = DrawnBattle("32x32_flat", 0)
    battle.create(2005, 1, 8.0, 16.0)
    battle.create(48, 2, 24.0, 16.0)
    battle.advance(1)


def shown_by_ours(ours: Any, theirs: Any, army: str, last: list[int]) -> Any:
    """What our simulator shows of the units that smacv2 has: its buffers."""
    from partage.sims.skirmish.armies import armies

    kernel, buffers = ours._sim, ours._buffers
    world = kernel.world
    ids = {getattr(theirs, f"{name}_id"): name for name in armies()[army].units}
    theirs_units = [*theirs.agents.values(), *theirs.enemies.values()]
    kinds = list(armies()[army].units)
    game_types = {unit.unit_type for unit in theirs.enemies.values()}
    assert len(game_types & set(ids)) == 0, "enemies have the game's own numbers"
    for slot, unit in enumerate(theirs_units):
        ally = slot < 5
        world.kind[0, slot] = (
            kinds.index(ids[unit.unit_type]) if ally else theirs.get_unit_type_id(unit, False)
        )
        mine = world.units[0, slot]
        mine["x"], mine["y"], mine["health"] = unit.pos.x, unit.pos.y, unit.health
        mine["shield"], mine["energy"] = unit.shield, unit.energy
        mine["cooldown"] = unit.weapon_cooldown
    arm(kernel.rules, world, 0)
    world.last_action[0] = last
    observe(rules_of(kernel), world, buffers, 0)
    return buffers


@every_army
def test_smacv2_shows_of_the_same_units_what_our_simulator_shows(army: str, games: Any) -> None:
    game, ours = games(army), make(f"smacv2/{army}_5_vs_5", [0], 1)
    dice, died, paid, battles = np.random.default_rng(0), False, 0.0, set()
    for seed in (3, None, None):  # one game, three battles
        instant, last = game.reset(seed), [-1] * 5
        env: Any = game._env
        battles.add(tuple(unit.unit_type for unit in env.agents.values()))
        for _ in range(60):
            buffers = shown_by_ours(ours, env, army, last)
            assert np.array_equal(buffers.avail_actions[0], instant.avail_actions)
            assert np.array_equal(buffers.alive[0], instant.alive)
            np.testing.assert_allclose(buffers.obs[0], instant.obs, atol=2e-6)
            np.testing.assert_allclose(buffers.state[0], instant.state, atol=2e-6)
            assert ours._sim.world.max_reward[0] == env.max_reward
            if instant.terminated:
                break
            last = [int(dice.choice(np.flatnonzero(row))) for row in instant.avail_actions]
            instant = game.step(last)
            died, paid = died or not instant.alive.all(), paid + instant.reward[0]
    assert died and paid > 1 and len(battles) > 1


def test_a_seed_fixes_what_is_drawn(games: Any) -> None:
    def armies_of(seed: int) -> list[Any]:
        game = games("protoss")
        drawn = []
        for given in (seed, None):
            game.reset(given)
            units = [*game._env.agents.values(), *game._env.enemies.values()]
            drawn += [(unit.unit_type, unit.pos.x, unit.pos.y) for unit in units]
        return drawn

    one, same, other = armies_of(7), armies_of(7), armies_of(8)
    assert one == same and one != other
