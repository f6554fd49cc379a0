"""Academy games of Google Research Football, every left player an agent (BDPS §4.1, App. A.2):
`Task`, `Football`.

The field is x in [-1, 1] (the left team attacks x = 1) and y in [-0.42, 0.42] (0.42 is at the
bottom); directions are displacements of one step. An agent observes

    own place (2); ball: place relative to the own (2) and height (1), direction (3), owner
    none/left/right (3); each teammate, then each opponent: seen or not (1), place relative to the
    own (2, zero if unseen)

with the view cone of `view_cone`; option ``places="absolute"`` leaves places as they are. State,
absolute: places of all players, left first, their directions, place and direction of the ball, its
owner.

The team is paid 1 for a goal, -1 for one against it, and once for each of ten rings around the
goal, 0.1 as soon as one of its players has the ball within it; a goal pays the rings not yet
reached. (The package counts rings for each player it controls: ``checkpoints="player"`` pays the
sum of what it pays them.) The score is the goals made. A game ends with a goal, the ball out of
play, or the other team in possession. Actions: the package's 19.
"""

import pickle
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from partage.errors import UserError
from partage.sims.football.view_cone import seen, turned
from partage.sims.single import Instant

HORIZON = 150  # steps   (CDS; BDPS says nothing)
RINGS, RING = 10, 0.1  # how many, and what each pays   (gfootball's checkpoints)
Spots = tuple[tuple[float, float, str], ...]


class Task(NamedTuple):
    """Where everyone starts, as gfootball's scenario of that name has it: x, y, role; each team
    from its own goal.
    """

    ball: tuple[float, float]
    left: Spots
    right: Spots

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Agents, actions, numbers in an observation, numbers in the state."""
        n, everyone = len(self.left), len(self.left) + len(self.right)
        return n, 19, 11 + 3 * (everyone - 1), 4 * everyone + 9


KEEPER = (-1.0, 0.0, "GK")
TASKS = {
    "academy_3_vs_1_with_keeper": Task(
        ball=(0.62, 0.0),
        left=(KEEPER, (0.6, 0.0, "CM"), (0.7, 0.2, "CM"), (0.7, -0.2, "CM")),
        right=(KEEPER, (-0.75, 0.0, "CB")),
    ),
    "academy_pass_and_shoot_with_keeper": Task(
        ball=(0.7, -0.28),
        left=(KEEPER, (0.7, 0.0, "CB"), (0.7, -0.3, "CB")),
        right=(KEEPER, (-0.75, 0.3, "CB")),
    ),
}


class Options(NamedTuple):
    """Readings of what the paper leaves open; the first of each is the default."""

    checkpoints: str = "team"  # or "player"
    places: str = "relative"  # or "absolute"
    # who stands faces where it last moved to, at first the other goal; "goal": always that
    still: str = "last"


class Maker(NamedTuple):
    """What builds a copy, in a worker of its `Pool`."""

    name: str
    options: Options

    def __call__(self, copy: int) -> "Football":
        return Football(self.name, self.options)


class View(NamedTuple):
    """One instant: what is drawn, and what observations are made of."""

    players: np.ndarray  # [P, 2], left first
    motion: np.ndarray  # [P, 2]
    facing: np.ndarray  # [N, 2]: of the agents
    seen: np.ndarray  # [N, P]: whom each agent sees (itself too)
    ball: np.ndarray  # [3]
    ball_motion: np.ndarray  # [3]
    team: int  # that has the ball: -1 none, 0 left, 1 right
    owner: int  # the player of that team who has it, -1 none


def level(name: str, task: Task) -> str:
    """The name of a scenario of gfootball's that is the task. Its left players are lazy: they do
    nothing unasked.
    """
    import gfootball_engine  # pyright: ignore[reportMissingImports]

    engine: Any = gfootball_engine

    def build_scenario(builder: Any) -> None:
        rules = builder.config()
        rules.game_duration, rules.deterministic, rules.offsides = 400, False, False
        rules.end_episode_on_score = rules.end_episode_on_out_of_play = (
            rules.end_episode_on_possession_change
        ) = True
        builder.SetBallPosition(*task.ball)
        for team, spots, lazy in (
            (engine.e_Team.e_Left, task.left, True),
            (engine.e_Team.e_Right, task.right, False),
        ):
            builder.SetTeam(team)
            for x, y, role in spots:
                builder.AddPlayer(x, y, getattr(engine.e_PlayerRole, f"e_PlayerRole_{role}"), lazy)

    module: Any = ModuleType(f"gfootball.scenarios.partage_{name}")
    module.build_scenario = build_scenario
    sys.modules[module.__name__] = module
    return module.__name__.rpartition(".")[2]


def game(name: str, task: Task) -> Any:
    """The engine, its first game begun."""
    from gfootball.env import config, football_env_core  # pyright: ignore[reportMissingImports]

    players = [f"agent:left_players={len(task.left)}"]
    return football_env_core.FootballEnvCore(
        config.Config({"level": level(name, task), "players": players})
    )


def rings(distance: float) -> int:
    """How many of the rings lie around a ball at that distance from the goal: the first is 0.99
    away, the last 0.19.
    """
    return int(np.sum(distance <= 0.99 - 0.8 / (RINGS - 1) * np.arange(RINGS)))


class Football:
    """One copy. `view` is the instant it is at."""

    def __init__(self, name: str, options: Options) -> None:
        self._task, self._options, self._core = TASKS[name], options, game(name, TASKS[name])
        n, p = len(self._task.left), len(self._task.left) + len(self._task.right)
        self._others = np.array([[m for m in range(p) if m != k] for k in range(n)])  # [N, P - 1]
        self._goals = np.tile([1.0, 0.0], (n, 1))

    def reset(self, seed: int | None) -> Instant:
        if seed is None:
            raise UserError(
                "Football gives every episode a seed of its own: expected a number, got None."
            )
        self._seed = seed
        config = self._core._config
        config["game_engine_random_seed"] = seed % 2_000_000_000
        config["reverse_team_processing"] = bool(
            seed >> 40 & 1
        )  # else the first episode's parity would stay
        self._core.reset()
        n = len(self._task.left)
        self._reached = np.zeros(n if self._options.checkpoints == "player" else 1, int)
        self._look(self._goals)
        return self._instant(0.0, 0.0, False)

    def step(self, actions: Sequence[int]) -> Instant:
        _, goal, done, _ = self._core.step(list(actions))
        self._look(self._goals if self._options.still == "goal" else self.view.facing)
        return self._instant(self._pay(goal), float(goal > 0), done)

    def _pay(self, goal: int) -> float:
        """The goal, to each who counts rings of their own, and the rings now reached."""
        view, before = self.view, self._reached.copy()
        mine = slice(view.owner, view.owner + 1) if len(before) > 1 else slice(0, 1)
        if goal > 0:
            self._reached[:] = RINGS
        elif view.team == 0 and view.owner >= 0:
            gap = rings(float(np.hypot(view.ball[0] - 1, view.ball[1])))
            self._reached[mine] = np.maximum(before[mine], gap)
        return float(goal * len(before) + RING * (self._reached - before).sum())

    def _look(self, facing: np.ndarray) -> None:
        """Take in the instant; who stands faces as given."""
        raw, n = self._core.observation(), len(self._task.left)
        players = np.concatenate((raw["left_team"], raw["right_team"]))
        motion = np.concatenate((raw["left_team_direction"], raw["right_team_direction"]))
        facing = turned(facing, motion[:n])
        ball, moving = raw["ball"], raw["ball_direction"]
        team, owner = raw["ball_owned_team"], raw["ball_owned_player"]
        self.view = View(
            players, motion, facing, seen(players[:n], facing, players), ball, moving, team, owner
        )

    def _instant(self, reward: float, gain: float, done: bool) -> Instant:
        view, n = self.view, len(self._task.left)
        own = view.players[:n]
        centre = own if self._options.places == "relative" else np.zeros_like(own)
        owned = np.zeros(3)
        owned[view.team + 1] = 1
        obs = np.empty((n, self._task.sizes[2]))
        obs[:, :2], obs[:, 2:4], obs[:, 4] = own, view.ball[:2] - centre, view.ball[2]
        obs[:, 5:8], obs[:, 8:11] = view.ball_motion, owned
        visible = np.take_along_axis(view.seen, self._others, 1)
        obs[:, 11::3] = visible
        obs[:, 12::3] = (view.players[self._others, 0] - centre[:, :1]) * visible
        obs[:, 13::3] = (view.players[self._others, 1] - centre[:, 1:]) * visible
        state = np.concatenate(
            (view.players.ravel(), view.motion.ravel(), view.ball, view.ball_motion, owned)
        )
        return Instant(obs.astype(np.float32), state.astype(np.float32), [reward] * n, gain, done)

    def save(self) -> bytes:
        return pickle.dumps((self._seed, self._core.get_state({}), self._reached, self.view.facing))

    def load(self, saved: bytes) -> None:
        seed, engine, reached, facing = pickle.loads(saved)
        self.reset(seed)
        self._core.set_state(engine)
        self._reached = reached
        self._look(facing)

    def close(self) -> None:
        self._core.close()
