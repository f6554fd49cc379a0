# /// script
# requires-python = ">=3.11,<3.14"
# # For engine "package", each without what it asks for itself (pip install --no-deps): smacv2 wants a protobuf below
# # 3.21, pure Python here and 2 to 3 times slower, and pysc2 a dozen packages that no episode needs.
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
"""StarCraft II micromanagement on SMAC's maps, ``smac/MMM2``: the contract of SMAC version 1, see
`skirmish.contract`.

Engine "batched" is our simulator of these battles (`partage.sims.skirmish`), never the game: its
results are no SMAC results. Engine "package" is StarCraft II 4.10 itself, through smacv2 with
version 1's rules (`partage.sims.starcraft.game`): one game process for each copy, and a run that
cannot be repeated bit for bit.

Options: ``reward="v1"`` has the absolute value of the enemies' losses, so that their regeneration
pays, and ``"v2"`` smacv2's positive part; ``enemies="unsorted"`` has the enemies numbered anew in
each episode, as the game does, ``"sorted"`` always alike, which RODE's copy of SMAC has;
``time_limit`` says what the last step is called (SMAC: ``"terminal"``); for the simulator also
``device="cuda"``: a thread of a GPU for each copy; for the package the fields of `Care`, such as
``relaunch=50_000``. The team's reward adds up to 20 in a battle won; the score is 1 when it is won.
"""

from collections.abc import Sequence
from typing import Any

from partage.errors import one_of
from partage.sims.batch import Batched
from partage.sims.contract import Engine, Env, Spec
from partage.sims.options import choose
from partage.sims.skirmish.data import find_map
from partage.sims.skirmish.simulator import Options, make_kernel
from partage.sims.starcraft.game import Care, Play, require_game, require_packages
from partage.sims.workers.pool import Pool


def make(
    task: str, seeds: Sequence[int], copies: int, engine: Engine = "batched", **options: Any
) -> Env:
    """The copies of the map."""
    one_of("engine of smac", engine, ["batched", "package"])
    of_care = Care._fields if engine == "package" else ()
    care = Care(**{name: options.pop(name) for name in of_care if name in options})
    devices = {"device": ("cpu", "cuda")} if engine == "batched" else {}
    limits = ("terminal", "truncation")
    chosen = choose(
        options, reward=("v1", "v2"), enemies=("unsorted", "sorted"), time_limit=limits, **devices
    )
    found, limit = find_map(task), chosen["time_limit"]
    if engine == "package":
        require_packages(__file__)
        require_game(task)
        play = Play(task, chosen["reward"], chosen["enemies"], care)
        return Batched(found.spec, lambda n: games(play, found.spec, n), seeds, copies, limit)
    played = Options(
        ignore_recovery=chosen["reward"] == "v2", keep_order=chosen["enemies"] == "sorted"
    )
    return Batched(
        found.spec, lambda n: make_kernel(found, played, n, chosen["device"]), seeds, copies, limit
    )


def games(play: Play, spec: Spec, copies: int) -> Pool:
    """That many games, each in a process of its own, which gives its game up before the pool gives
    up on both.
    """
    care = play.care
    begin = (
        3 * care.timeout + copies * care.stagger
    )  # close an old game, wait for its turn, start a new one
    return Pool(play, spec, copies, copies, begin, 2 * care.timeout, care.stagger)
