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
"""StarCraft II micromanagement on SMAC's maps, ``smac/MMM2``, by the rules of SMAC version 1.

What agents see, may do and earn is in `partage.sims.skirmish`: `actions`, `observations`,
`rewards`.

Engine "batched" is our simulator of these battles (`partage.sims.skirmish`), never the game: its
results are no SMAC results. Engine "package" is StarCraft II 4.10 itself, through smacv2 with
version 1's rules (`partage.sims.starcraft.game`): one game process for each copy, and a run that
cannot be repeated bit for bit.

Options: ``reward="v1"`` has the absolute value of the enemies' losses, so that their regeneration
pays, and ``"v2"`` smacv2's positive part; ``enemies="unsorted"`` has the enemies numbered anew in
each episode, as the game does, ``"sorted"`` always alike, which RODE's copy of SMAC has;
``time_limit`` says what the last step is called (SMAC: ``"terminal"``); for the simulator also
``device="cuda"``: a thread of a GPU for each copy; for the package the fields of `Supervision`,
such as ``relaunch=50_000``. The team's reward adds up to 20 in a battle won; the score is 1 when it
is won.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from partage.errors import one_of
from partage.sims.batch import Batched
from partage.sims.contract import Env, Spec
from partage.sims.devices import DEVICES, batched
from partage.sims.options import choose
from partage.sims.skirmish.data import find_map
from partage.sims.skirmish.simulator import Options, make_kernel
from partage.sims.starcraft.game import DrawnSetup, GameSetup, Supervision
from partage.sims.starcraft.installation import require_game, require_packages
from partage.sims.workers.pool import Pool

CHOICES = {
    "reward": ("v1", "v2"),
    "enemies": ("unsorted", "sorted"),
    "time_limit": ("terminal", "truncation"),
}


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "batched", **options: Any
) -> Env:
    """Return `copies` battles on the map for each seed.

    Raises `UserError` for an unknown engine, map or option, and for "package" where the game or a
    package is missing.
    """
    one_of("engine of smac", engine, ["batched", "package"])
    return (make_games if engine == "package" else make_simulators)(task, seeds, copies, options)


def make_simulators(task: str, seeds: Sequence[int], copies: int, options: dict[str, Any]) -> Env:
    """Return copies of our simulator of the map's battles."""
    chosen = choose(options, **CHOICES, device=DEVICES)
    battle_map = find_map(task)
    open_choices = Options(
        ignore_recovery=chosen["reward"] == "v2", keep_order=chosen["enemies"] == "sorted"
    )

    made = partial(make_kernel, battle_map, open_choices)
    return batched(chosen["device"], battle_map.spec, made, seeds, copies, chosen["time_limit"])


def make_games(task: str, seeds: Sequence[int], copies: int, options: dict[str, Any]) -> Batched:
    """Return copies of StarCraft II itself, each in a process of its own."""
    supervised = {name: options[name] for name in Supervision._fields if name in options}
    others = {name: value for name, value in options.items() if name not in supervised}
    chosen = choose(others, **CHOICES)
    battle_map = find_map(task)
    require_packages(__file__)
    require_game(task)
    setup = GameSetup(
        map_name=task,
        reward=chosen["reward"],
        enemies=chosen["enemies"],
        supervision=Supervision(**supervised),
    )

    def start(count: int) -> Pool:
        return start_games(setup, battle_map.spec, count)

    return Batched(battle_map.spec, start, seeds, copies, chosen["time_limit"])


def start_games(setup: GameSetup | DrawnSetup, spec: Spec, copies: int) -> Pool:
    """Return that many games, each in a process of its own.

    A process gives its game up before the pool gives up on both.
    """
    supervision = setup.supervision
    # to begin: close an old game, wait for its turn, start a new one
    begin = 3 * supervision.timeout + copies * supervision.stagger
    return Pool(setup, spec, copies, copies, begin, 2 * supervision.timeout, supervision.stagger)
