# /// script
# requires-python = ">=3.11,<3.14"
# # To be installed without what they ask for themselves (pip install --no-deps): smacv2 wants protobuf below 3.21, which
# # is pure Python on all of these Pythons and 2 to 3 times slower; pysc2 wants a dozen packages that no episode needs.
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
# ///
"""smac, in work"""

from collections.abc import Sequence
from typing import Any

from partage.env import Engine, Env, Spec
from partage.sims.batch import Batched
from partage.sims.options import choose, one_of
from partage.sims.pool import Pool
from partage.sims.skirmish.data import named
from partage.sims.starcraft import Care, Play, require_game, require_packages


def make(
    task: str, seeds: Sequence[int], copies: int, engine: Engine = "batched", timeout: int = 120, relaunch: int = 50_000,
    **options: Any,
) -> Env:  # fmt: skip
    one_of("engine of smac", engine, ["batched", "package"])
    limits = ("terminal", "truncation")
    chosen = choose(options, reward=("v1", "v2"), enemies=("unsorted", "sorted"), time_limit=limits)
    spec = named(task).spec
    require_packages(__file__)
    require_game(task)
    play = Play(task, chosen["reward"], chosen["enemies"], Care(timeout, relaunch))
    return Batched(spec, lambda n: games(play, spec, n), seeds, copies, chosen["time_limit"])


def games(play: Play, spec: Spec, copies: int) -> Pool:
    """That many games, each in a process of its own, which gives up on its game before the pool gives up on it."""
    care = play.care
    begin = 3 * care.timeout + copies * care.stagger  # close an old game, wait for its turn, start a new one
    return Pool(play, spec, copies, copies, begin, 2 * care.timeout, care.stagger)
