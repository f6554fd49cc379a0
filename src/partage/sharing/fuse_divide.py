"""Algorithm 1 of MPD: who shares from here on, by the distance of policies.

`fuse_divide` is the algorithm that the paper's text describes; `fuse_divide_literal` is the public
code, word for word, defects included. Both are pure.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor

from partage.sharing.assignment import Assignment


class Move(NamedTuple):
    """One agent's block takes another set: `partner` is whom it fused with, or parted from."""

    run: int
    block: str  # "front" or "back"
    agent: int
    partner: int
    source: int  # the set whose parameters it has from here on
    # the set it uses from here on; the same as `source` in a fusion, a copy of it in a division
    target: int


class Thresholds(NamedTuple):
    """The distances of policies at which agents fuse and divide, in units of the distance."""

    fuse: float  # epsilon_1: agents with different fronts that are closer than this fuse them
    fuse_back: float  # agents with one front that are closer than this fuse their backs
    divide: float  # epsilon_2: agents with one front that are farther apart than this part


class Block:
    """The sets that the agents of one run use in one block, while a call moves them."""

    def __init__(self, name: str, sets: Sequence[int]) -> None:
        self.name = name
        self.before = list(sets)  # each agent's set when the call began
        self.now = list(sets)  # each agent's set by now: FL or BL of Algorithm 1
        # the set in which each agent's original policy lies: Net^O, or its copy after a division
        self.original_set = list(sets)
        # the agent whose original policy each agent has by now: Net^N
        self.policy_of = list(range(len(sets)))


class SharingOfOneRun:
    """Front and back of one run, and the rules of Algorithm 1, each of which moves agent j.

    `distance` is the run's matrix of policy distances ``[N][N]``; `moves` lists what was done.
    """

    def __init__(
        self,
        run: int,
        distance: Sequence[Sequence[float]],
        front: Sequence[int],
        back: Sequence[int],
        thresholds: Thresholds,
    ) -> None:
        self.run, self.distance, self.thresholds = run, distance, thresholds
        self.front, self.back = Block("front", front), Block("back", back)
        self.divided: set[int] = set()
        self.moves: list[Move] = []

    def examine_all(self) -> None:
        """Apply the rules to every pair i < j, in ascending order   (lines 3 and 4)."""
        for i, j in combinations(range(len(self.distance)), 2):
            self.examine(i, j)

    def examine(self, i: int, j: int) -> None:
        """Apply the rule that fits one pair, if any   (Algorithm 1, lines 5 to 26)."""
        distance, thresholds = self.distance[i][j], self.thresholds
        if self.front.now[i] != self.front.now[j]:  # line 5
            if distance < thresholds.fuse:  # line 6
                self.fuse(self.front, i, j, thresholds.fuse)  # lines 7 to 12
        elif distance < thresholds.fuse_back:  # line 15
            if self.back.now[i] != self.back.now[j]:
                self.fuse(self.back, i, j, thresholds.fuse_back)  # lines 16 to 21, for BL
        elif distance > thresholds.divide and self.may_divide(i, j):  # line 22
            self.divide(i, j)  # lines 23 and 24, for FL

    def fuse(self, block: Block, i: int, j: int, threshold: float) -> None:
        """Give j the policy that i has by now, if it is near j as well, else i's original one."""
        new_policy = block.policy_of[i]
        near = self.distance[new_policy][j] < threshold  # lines 8 and 17
        partner = new_policy if near else i  # lines 9 and 18: Net^N(i); 11 and 20: Net^O(i)
        taken = block.original_set[partner]
        block.policy_of[j], block.now[j] = partner, taken
        self.moves.append(Move(self.run, block.name, j, partner, source=taken, target=taken))

    def may_divide(self, i: int, j: int) -> bool:
        """Return whether j may part from i.

        It divides at most once a call, not after a fusion, and only from whom it shared a front
        with before the call: so there is always a free set.
        """
        front = self.front
        shared_before = front.before[i] == front.before[j]
        has_fused = front.policy_of[j] != j
        return shared_before and not has_fused and j not in self.divided

    def divide(self, i: int, j: int) -> None:
        """Give j a copy of the front that it shares with i, in a set that nobody uses."""
        source, free = self.front.now[j], self.free_set()
        self.moves.append(Move(self.run, "front", j, i, source, target=free))
        self.front.now[j] = self.front.original_set[j] = free
        self.divided.add(j)

    def free_set(self) -> int:
        """Return the first front set in which nobody's policy lies, before the call or now."""
        in_use = {*self.front.before, *self.front.original_set}
        return min(set(range(len(self.distance))) - in_use)


def fuse_divide(
    distance: Float32[Tensor, "R N N"],
    front: Assignment,
    back: Assignment,
    fuse: float,
    fuse_back: float,
    divide: float,
) -> tuple[Assignment, Assignment, list[Move]]:
    """Return new fronts and backs, and the moves that led there   (MPD §2, Algorithm 1).

    The rules are those of `SharingOfOneRun`. The printed algorithm's defects are repaired as its
    text says: back layers move BL (lines 16 to 21 name FL), the threshold of line 8 is tested on
    the agent whose policy i has by now (the listing takes a set's number for an agent's), and a
    division takes a set that nobody uses (line 24 writes over set j). Backs are never divided:
    agents that share both have one policy and stay together.
    """
    thresholds = Thresholds(fuse, fuse_back, divide)
    fronts, backs, moves = [], [], []
    for run, (rows, front_sets, back_sets) in enumerate(
        zip(distance.tolist(), front.tolist(), back.tolist(), strict=True)
    ):
        sharing = SharingOfOneRun(run, rows, front_sets, back_sets, thresholds)
        sharing.examine_all()
        fronts.append(sharing.front.now)
        backs.append(sharing.back.now)
        moves += sharing.moves
    return torch.tensor(fronts), torch.tensor(backs), moves


def fuse_divide_literal(
    distance: Float32[Tensor, "R N N"],
    front: Assignment,
    back: Assignment,
    fuse: float,
    fuse_back: float,
    divide: float,
) -> tuple[Assignment, Assignment, list[Move]]:
    """Return what MADPS's public code makes of the same arguments as `fuse_divide`.

    It takes a set's number for an agent's in every reading of ``FL[i]``. After the first rule that
    applies to i, the next i follows (also after a back is "fused" with itself, which changes
    nothing and bars everything behind it); a division copies set i into set j, whoever uses them.
    """
    thresholds = Thresholds(fuse, fuse_back, divide)
    fronts, backs, moves = front.tolist(), back.tolist(), []
    for run, rows in enumerate(distance.tolist()):
        sets = {"front": fronts[run], "back": backs[run]}
        for i in range(len(rows)):
            for j in range(i + 1, len(rows)):
                move = _literal_move(run, rows, sets, i, j, thresholds)
                if move:
                    sets[move.block][j] = move.target
                    moves.append(move)
                    break
    return torch.tensor(fronts), torch.tensor(backs), moves


def _literal_move(
    run: int,
    distance: Sequence[Sequence[float]],
    sets: dict[str, list[int]],
    i: int,
    j: int,
    thresholds: Thresholds,
) -> Move | None:
    """Return what the public code does to j when it comes to the pair i, j; None: nothing."""
    one_front = sets["front"][i] == sets["front"][j]
    block, threshold = "front", thresholds.fuse
    if one_front:
        block, threshold = "back", thresholds.fuse_back
    if distance[i][j] < threshold:
        set_of_i = sets[block][i]
        taken = set_of_i if distance[set_of_i][j] < threshold else i  # a set's number as an agent's
        return Move(run, block, j, i, source=taken, target=taken)
    if one_front and distance[i][j] > thresholds.divide:
        return Move(run, "front", j, i, source=i, target=j)
    return None
