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


class Rules(NamedTuple):
    """What is read into Algorithm 1 beyond its text; all three are off in `INTENDED`   [M11]."""

    # backs are decided when all fronts are: who parts in front in a call does not fuse backs in it
    fronts_first: bool
    # nobody joins a set that somebody farther away than `Thresholds.divide` uses
    keeps_apart: bool
    # agents with different fronts that share a back part in it where they are that far apart
    backs_divide: bool


STEADY = Rules(fronts_first=True, keeps_apart=True, backs_divide=False)
BACKS_DIVIDE = STEADY._replace(backs_divide=True)
INTENDED = Rules(fronts_first=False, keeps_apart=False, backs_divide=False)


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
        self.divided: set[int] = set()  # the agents that parted from others in this call


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
        rules: Rules,
    ) -> None:
        self.run, self.distance = run, distance
        self.thresholds, self.rules = thresholds, rules
        self.front, self.back = Block("front", front), Block("back", back)
        self.moves: list[Move] = []

    def examine_all(self) -> None:
        """Apply the rules to every pair i < j, in ascending order   (lines 3 and 4)."""
        pairs = list(combinations(range(len(self.distance)), 2))
        if self.rules.fronts_first:
            for i, j in pairs:
                self.examine_fronts(i, j)
            for i, j in pairs:
                self.examine_backs(i, j)
        else:
            for i, j in pairs:
                if not self.examine_fronts(i, j):
                    self.examine_backs(i, j)

    def examine_fronts(self, i: int, j: int) -> bool:
        """Fuse or divide the fronts of one pair   (Algorithm 1, lines 5 to 12 and 22 to 24).

        Return whether the pair is dealt with: its fronts differ, or differ from now on.
        """
        distance, thresholds = self.distance[i][j], self.thresholds
        if self.front.now[i] != self.front.now[j]:  # line 5
            if distance < thresholds.fuse:  # line 6
                self.fuse(self.front, i, j, thresholds.fuse)  # lines 7 to 12
            return True
        if distance > thresholds.divide and self.may_divide(self.front, i, j):  # line 22
            self.divide(self.front, i, j)  # lines 23 and 24
            return True
        return False

    def examine_backs(self, i: int, j: int) -> None:
        """Fuse or divide the backs of one pair   (lines 15 to 21, with BL for FL)."""
        distance, thresholds = self.distance[i][j], self.thresholds
        one_front = self.front.now[i] == self.front.now[j]
        one_back = self.back.now[i] == self.back.now[j]
        near, far = distance < thresholds.fuse_back, distance > thresholds.divide
        if one_front and not one_back and near and self.shared_front(i, j):  # line 15
            self.fuse(self.back, i, j, thresholds.fuse_back)  # lines 16 to 21
        parts = self.rules.backs_divide and one_back and not one_front and far
        if parts and self.may_divide(self.back, i, j):
            self.divide(self.back, i, j)

    def shared_front(self, i: int, j: int) -> bool:
        """Return whether the pair had one front when its distance was measured, if that counts."""
        return not self.rules.fronts_first or self.front.before[i] == self.front.before[j]

    def fuse(self, block: Block, i: int, j: int, threshold: float) -> None:
        """Give j the policy that i has by now, if it is near j as well, else i's original one."""
        new_policy = block.policy_of[i]
        near = self.distance[new_policy][j] < threshold  # lines 8 and 17
        # lines 9 and 18: Net^N(i); lines 11 and 20: Net^O(i)
        for partner in [new_policy, i] if near else [i]:
            taken = block.original_set[partner]
            if self.rules.keeps_apart and self.is_far_from_users(block, taken, j):
                continue
            block.policy_of[j], block.now[j] = partner, taken
            self.moves.append(Move(self.run, block.name, j, partner, source=taken, target=taken))
            return

    def is_far_from_users(self, block: Block, used_set: int, j: int) -> bool:
        """Return whether somebody who uses this set by now is too far from j to share it."""
        users = [k for k, its_set in enumerate(block.now) if its_set == used_set]
        return any(self.distance[k][j] > self.thresholds.divide for k in users)

    def may_divide(self, block: Block, i: int, j: int) -> bool:
        """Return whether j may part from i.

        It divides at most once a call, not after a fusion, and only from whom it shared a set
        with before the call: so there is always a free set.
        """
        shared_before = block.before[i] == block.before[j]
        has_fused = block.policy_of[j] != j
        return shared_before and not has_fused and j not in block.divided

    def divide(self, block: Block, i: int, j: int) -> None:
        """Give j a copy of the set that it shares with i, in a set that nobody uses."""
        source, free = block.now[j], self.free_set(block)
        self.moves.append(Move(self.run, block.name, j, i, source, target=free))
        block.now[j] = block.original_set[j] = free
        block.divided.add(j)

    def free_set(self, block: Block) -> int:
        """Return the first set in which nobody's policy lies, before the call or now."""
        in_use = {*block.before, *block.original_set}
        return min(set(range(len(self.distance))) - in_use)


def fuse_divide(
    distance: Float32[Tensor, "R N N"],
    front: Assignment,
    back: Assignment,
    fuse: float,
    fuse_back: float,
    divide: float,
    rules: Rules = STEADY,
) -> tuple[Assignment, Assignment, list[Move]]:
    """Return new fronts and backs, and the moves that led there   (MPD §2, Algorithm 1).

    The rules are those of `SharingOfOneRun`. The printed algorithm's defects are repaired as its
    text says: back layers move BL (lines 16 to 21 name FL), the threshold of line 8 is tested on
    the agent whose policy i has by now (the listing takes a set's number for an agent's), and a
    division takes a set that nobody uses (line 24 writes over set j). Agents that share both have
    one policy and stay together. On distances that do not change, repeated calls come to rest:
    after some of them nothing moves any more (with `rules` that keep apart).
    """
    thresholds = Thresholds(fuse, fuse_back, divide)
    fronts, backs, moves = [], [], []
    for run, (rows, front_sets, back_sets) in enumerate(
        zip(distance.tolist(), front.tolist(), back.tolist(), strict=True)
    ):
        sharing = SharingOfOneRun(run, rows, front_sets, back_sets, thresholds, rules)
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
