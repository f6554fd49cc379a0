# /// script
# requires-python = ">=3.11,<3.14"
# # For engine "package", each without what it asks for itself (pip install --no-deps): smacv2
# # wants a protobuf below 3.21, pure Python here and 2 to 3 times slower, and pysc2 a dozen
# # packages that no episode needs.
# dependencies = [
#   "smacv2 @ git+https://github.com/oxwhirl/smacv2@577ab5a2cff2391f8df582da5731ea9cd6adf3c6",
#   "pysc2==4.0.0",
#   "protobuf==6.33.0",
#   "pys2clientprotocol==1.0.2",
#   "websocket-client==1.9.2",
#   "absl-py==2.5.1",
#   "portpicker==1.6.0",
#   "psutil==7.2.2",
#   "mpyq==0.2.5",
# ]
#
# [tool.partage]
# no-deps = true
# ///
"""StarCraft II micromanagement with drawn armies, ``smacv2/terran_5_vs_5``, as smacv2 has it.

The armies are terran, protoss and zerg; types and places are drawn for each battle. What agents
observe and the state are laid out as in smacv2, with its examples' settings.

Engine "batched" is our simulator of these battles (`partage.sims.skirmish.drawn`), never the game:
its results are no SMACv2 results. Engine "package" is StarCraft II 4.10 itself through smacv2
(`partage.sims.starcraft.smac_v2`): one game process for each copy.

Options: ``reward="v2"`` is smacv2's own, the positive part of the enemies' losses, and ``"v1"``
their absolute value; ``time_limit`` says what the last step is called (SMAC: ``"terminal"``); for
the package the fields of `Supervision`, as in `partage.envs.smac`. The team's reward adds up to 20
in a battle won; the score is 1 when it is won.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from partage.envs.smac import start_games
from partage.errors import one_of
from partage.sims.batch import Batched
from partage.sims.contract import Env
from partage.sims.options import choose
from partage.sims.skirmish.armies import Scenario, find_scenario
from partage.sims.skirmish.drawn import make_drawn_kernel
from partage.sims.starcraft.game import DrawnSetup, Supervision
from partage.sims.starcraft.installation import require_game, require_packages

CHOICES = {"reward": ("v2", "v1"), "time_limit": ("terminal", "truncation")}
MAP = "32x32_flat"  # on which smacv2 draws its battles


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "batched", **options: Any
) -> Env:
    """Return `copies` battles of the scenario for each seed.

    Raises `UserError` for what does not exist, and for "package" where the game or a package is
    missing.
    """
    one_of("engine of smacv2", engine, ["batched", "package"])
    scenario = find_scenario(task)
    named = Supervision._fields if engine == "package" else ()
    supervised = {name: options.pop(name) for name in named if name in options}
    chosen = choose(options, **CHOICES)
    sim = partial(make_drawn_kernel, scenario, chosen["reward"] == "v2")
    if engine == "package":
        require_packages(__file__)
        require_game(MAP)
        setup = setup_of(scenario, chosen["reward"], Supervision(**supervised))
        sim = partial(start_games, setup, scenario.spec)
    return Batched(scenario.spec, sim, seeds, copies, chosen["time_limit"])


def setup_of(scenario: Scenario, reward: str, supervision: Supervision) -> DrawnSetup:
    """Return what a worker process is to know of a scenario."""
    army = scenario.army
    return DrawnSetup(
        army=army.name,
        units=scenario.units,
        types=army.units,
        weights=army.weights,
        never_alone=army.never_alone,
        reward="v1" if reward == "v1" else "v2",
        supervision=supervision,
    )
