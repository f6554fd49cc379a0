"""The best return of a game for any sharing: pure functions, which load neither torch nor Numba.

Agents that share a policy see the same and so draw from the same distribution. Deterministic ones
all do the same: S policies name at most S actions. Stochastic ones also meet by chance: the agents
of a policy that is uniform on m actions name m (1 - (1 - 1/m)^n) of them on average.

An agent id in the observation makes one set as many policies as there are agents: these ceilings
are not for it. Nor is the one of stochastic policies for the view "own", in which agents that drew
differently are told apart from then on: see `symmetry_breaking`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from partage.errors import UserError
from partage.sims.games.tasks import Game, Kind

# Of `spread_policies`: beginnings, how sparse their policies are, and what is no gain any more
BEGINNINGS, SPARSE, STILL = 12, 0.5, 1e-10
LEAST = 1e-300  # in place of a chance of 0, which has no power below 0


def greedy(game: Game, partition: Sequence[int]) -> float:
    """Return the best return of deterministic policies, agent n's being ``partition[n]``.

    Raises `UserError` for a partition of other agents.

    >>> game = Game("specialisation", n_agents=4, n_actions=4, horizon=10)
    >>> greedy(game, [0, 0, 1, 1]), greedy(game, [0, 0, 0, 1]), greedy(game, [3, 2, 1, 0])
    (5.0, 5.0, 10.0)
    """
    sizes = _sizes(game, partition)
    per_step: dict[Kind, Callable[[], float]] = {
        "specialisation": lambda: min(game.n_actions, len(sizes)) / game.n_agents,
        "synchronisation": lambda: 1.0,
        "roll_call": lambda: _answered(game, partition) / game.n_agents,
    }
    return game.horizon * per_step[game.kind]()


def sampled(game: Game, partition: Sequence[int]) -> float:
    """Return the best expected return of stochastic policies, agent n's being ``partition[n]``.

    Chance only helps to specialise. Raises `UserError` for a partition of other agents.

    >>> game = Game("specialisation", n_agents=4, n_actions=4, horizon=1)
    >>> [sampled(game, each) for each in ([0, 0, 0, 0], [0, 0, 1, 1])]
    [0.68359375, 0.75]
    """
    if game.kind != "specialisation":
        return greedy(game, partition)
    sizes = _sizes(game, partition)
    return game.horizon * most_distinct(sizes, game.n_actions) / game.n_agents


def of_sets(game: Game, sets: int, best: Callable[[Game, Sequence[int]], float]) -> float:
    """Return the most that `best`, which is `greedy` or `sampled`, is for that many sets in use."""
    if game.kind == "roll_call":  # each set answers for another action, the most wanted first
        wanted = Counter(n % game.n_actions for n in range(game.n_agents))
        answered = sum(count for _, count in wanted.most_common(sets))
        return game.horizon * answered / game.n_agents
    partitions = [  # who is in which set does not matter
        np.repeat(np.arange(sets), sizes).tolist() for sizes in _partitions(game.n_agents, sets)
    ]
    return max(best(game, partition) for partition in partitions)


def most_distinct(sizes: Sequence[int], n_actions: int) -> float:
    """Return how many actions policies of so many agents each name at most, on average.

    With as many actions as agents, each policy is uniform on as many of them as it has agents. Of
    fewer actions two policies may share one: `spread_policies` finds how.

    >>> most_distinct([2, 2], 4), most_distinct([3, 1], 4), most_distinct([1, 1, 1], 2)
    (3.0, 3.1111111111111116, 2.0)
    """
    if len(sizes) >= n_actions:
        return float(n_actions)
    split = _best_split(sizes, n_actions)
    apart = sum(map(_distinct, split, sizes))
    return apart if n_actions >= sum(sizes) else max(apart, spread_policies(sizes, n_actions))


def spread_policies(sizes: Sequence[int], n_actions: int) -> float:
    """Return how many actions policies name on average that may overlap, as it pays them most.

    From several beginnings, always the same, each policy in turn answers the others. An answer is
    exact, for what it minimises is convex: the sum over actions of the chance that nobody names it.
    """
    rng = np.random.default_rng(0)
    powers = np.array(sizes)[:, None]
    best = 0.0
    for _ in range(BEGINNINGS):
        policies = rng.dirichlet(np.full(n_actions, SPARSE), len(sizes))
        named, before = 0.0, -1.0
        while named > before + STILL:
            for s, size in enumerate(sizes):
                others = np.delete((1 - policies) ** powers, s, axis=0).prod(0)
                policies[s] = _answer(others, size)
            named, before = n_actions - float(((1 - policies) ** powers).prod(0).sum()), named
        best = max(best, named)
    return best


def symmetry_breaking(game: Game) -> float:
    """Return what one stochastic policy for all earns in specialisation with the view "own".

    Agents keep their action while they are alone on it; the others draw among those that nobody
    has alone. It need not be the best that one can do, so it bounds that from below.

    >>> symmetry_breaking(Game("specialisation", 2, 2, 8, "own"))  # H - (1 - 2^-H) / 2
    7.501953125
    """
    if game.n_actions < game.n_agents:
        raise UserError(
            f"Expected as many actions as agents, so that all can be alone, got {game.n_actions} "
            f"for {game.n_agents}."
        )
    alone: Mapping[int, float] = {0: 1.0}  # settled agents -> chance of so many
    earned = 0.0
    for _ in range(game.horizon):
        after: dict[int, float] = defaultdict(float)
        for settled, chance in alone.items():
            drawing, free = game.n_agents - settled, game.n_actions - settled
            earned += chance * (settled + _distinct(free, drawing)) / game.n_agents
            for more, share in _singles(drawing, free).items():
                after[settled + more] += chance * share
        alone = after
    return earned


def _sizes(game: Game, partition: Sequence[int]) -> list[int]:
    """Return how many agents each policy has, the largest first."""
    if len(partition) != game.n_agents:
        raise UserError(
            f"Expected a partition of {game.n_agents} agents, got {len(partition)} entries."
        )
    return [count for _, count in Counter(partition).most_common()]


def _answered(game: Game, partition: Sequence[int]) -> int:
    """Return for how many agents of roll call their policy's best answer is right."""
    groups = Counter((s, agent % game.n_actions) for agent, s in enumerate(partition))
    largest: Counter[int] = Counter()
    for (s, _), size in groups.items():
        largest[s] = max(largest[s], size)
    return largest.total()


def _distinct(actions: int, agents: int) -> float:
    """Return how many of so many actions that many agents name who draw uniformly."""
    return actions * (1 - (1 - 1 / actions) ** agents) if actions else 0.0


def _best_split(sizes: Sequence[int], n_actions: int) -> list[int]:
    """Return how many actions each policy is uniform on where none shares one with another.

    Each further action goes where it adds most, for what one adds falls with their number.
    """
    split = [1] * len(sizes)
    for _ in range(n_actions - len(sizes)):
        gains = [_distinct(m + 1, n) - _distinct(m, n) for m, n in zip(split, sizes, strict=True)]
        split[gains.index(max(gains))] += 1
    return split


def _partitions(total: int, parts: int, least: int = 1) -> Iterator[list[int]]:
    """Yield every way to write a number as a sum of so many rising numbers from `least` on."""
    if parts == 1:
        yield [total]
        return
    for first in range(least, total // parts + 1):
        for rest in _partitions(total - first, parts - 1, first):
            yield [first, *rest]


def _answer(others: Float64[np.ndarray, "A"], size: int) -> Float64[np.ndarray, "A"]:
    """Return the policy of that many agents that leaves the fewest actions unnamed.

    `others` are the chances that no agent of another policy names an action.
    """
    if size == 1:
        return np.eye(len(others))[others.argmax()]
    # An action goes unnamed by chance ``t * weight`` where the policy names it at all, which it
    # does the k of least weight; chances of the policy add up to 1, which gives t.
    weight = np.maximum(others, LEAST) ** (-1 / (size - 1))
    rising = np.sort(weight)
    t = np.arange(len(rising)) / rising.cumsum()  # for k = 1, 2, ..
    k = np.flatnonzero(t * rising < 1)[-1]
    return 1 - np.minimum(t[k] * weight, 1)


def _singles(agents: int, actions: int) -> Mapping[int, float]:
    """Return how likely it is that so many of the agents are alone on what they drew uniformly."""
    ways: Counter[int] = Counter()
    for singles in range(min(agents, actions) + 1):
        exactly = 0  # by inclusion and exclusion over further agents that are alone
        for more in range(min(agents, actions) - singles + 1):
            k = singles + more
            placed = math.comb(actions, k) * math.comb(agents, k) * math.factorial(k)
            rest = (actions - k) ** (agents - k)
            exactly += (-1) ** more * math.comb(k, singles) * placed * rest
        ways[singles] = exactly
    return {singles: count / actions**agents for singles, count in ways.items() if count}
