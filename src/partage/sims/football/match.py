"""Academy games of Google Research Football, every left player an agent (BDPS §4.1, App. A.2).

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
reached. (The package counts rings for each player it controls: option ``checkpoints="player"`` pays
the sum of what it pays them.) The score is the goals made. A game ends with a goal, the ball out of
play, or the other team in possession. Actions: the package's 19.
"""

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from partage.errors import UserError
from partage.sims.football.tasks import TASKS, Spots, Task
from partage.sims.football.view_cone import seen, turned
from partage.sims.plain_state import array, as_json, from_json
from partage.sims.single import Instant

RINGS, RING = 10, 0.1  # how many, and what each pays   (gfootball's checkpoints)


class Options(NamedTuple):
    """Readings of what the paper leaves open; the first of each is the default."""

    checkpoints: str = "team"  # or "player"
    places: str = "relative"  # or "absolute"
    # who stands faces where it last moved to, at first the other goal; "goal": always that
    still: str = "last"


class Maker(NamedTuple):
    """Build a copy, in a worker of its `Pool`."""

    name: str
    options: Options

    def __call__(self, copy: int) -> "Football":
        return Football(self.name, self.options)


class View(NamedTuple):
    """One instant: what figures draw, and what observations are made of."""

    players: np.ndarray  # [P, 2]: places, left first
    motion: np.ndarray  # [P, 2]: displacements of the last step
    facing: np.ndarray  # [N, 2]: of the agents
    seen: np.ndarray  # [N, P]: whom each agent sees (itself too)
    ball: np.ndarray  # [3]: x, y, height
    ball_motion: np.ndarray  # [3]
    team: int  # that has the ball: -1 none, 0 left, 1 right
    owner: int  # the player of that team who has it, -1 none


def register_scenario(name: str, task: Task) -> str:
    """Make the task a scenario of gfootball's, and return its name there.

    Its left players are lazy: they do nothing unasked.
    """
    import gfootball_engine  # pyright: ignore[reportMissingImports]

    engine: Any = gfootball_engine

    def build_scenario(builder: Any) -> None:
        rules = builder.config()
        rules.game_duration = 400
        rules.deterministic = False
        rules.offsides = False
        rules.end_episode_on_score = True
        rules.end_episode_on_out_of_play = True
        rules.end_episode_on_possession_change = True
        builder.SetBallPosition(*task.ball)
        add_team(builder, engine.e_Team.e_Left, task.left, lazy=True)
        add_team(builder, engine.e_Team.e_Right, task.right, lazy=False)

    def add_team(builder: Any, team: Any, spots: Spots, lazy: bool) -> None:
        builder.SetTeam(team)
        for x, y, role in spots:
            builder.AddPlayer(x, y, getattr(engine.e_PlayerRole, f"e_PlayerRole_{role}"), lazy)

    module: Any = ModuleType(f"gfootball.scenarios.partage_{name}")
    module.build_scenario = build_scenario
    sys.modules[module.__name__] = module
    return module.__name__.rpartition(".")[2]


def start_engine(name: str, task: Task) -> Any:
    """Return gfootball's engine with the task as its scenario."""
    from gfootball.env import config, football_env_core  # pyright: ignore[reportMissingImports]

    players = [f"agent:left_players={len(task.left)}"]
    scenario = register_scenario(name, task)
    return football_env_core.FootballEnvCore(config.Config({"level": scenario, "players": players}))


def rings_reached(distance: float) -> int:
    """Return how many rings lie around a ball at that distance from the goal.

    The first is 0.99 away, the last 0.19.
    """
    return int(np.sum(distance <= 0.99 - 0.8 / (RINGS - 1) * np.arange(RINGS)))


def others_of_each(agents: int, players: int) -> np.ndarray:
    """Return the numbers of all other players, ``[N, P - 1]``."""
    everyone = np.arange(players)
    return np.stack([np.delete(everyone, agent) for agent in range(agents)])


class Football:
    """One copy (a `Single`). `view` is the instant it is at."""

    def __init__(self, name: str, options: Options) -> None:
        self._task, self._options = TASKS[name], options
        self._spec = self._task.spec
        self._core = start_engine(name, self._task)
        n = self._spec.n_agents
        self._others = others_of_each(n, len(self._task.left) + len(self._task.right))
        self._towards_goal = np.tile([1.0, 0.0], (n, 1))

    def reset(self, seed: int | None) -> Instant:
        """Start an episode by that seed."""
        if seed is None:
            raise UserError(
                "Football gives every episode a seed of its own: expected a number, got None."
            )
        self._seed, self._actions = seed, []
        config = self._core._config
        config["game_engine_random_seed"] = seed % 2_000_000_000
        # else the first episode's parity would stay
        config["reverse_team_processing"] = bool(seed >> 40 & 1)
        self._core.reset()
        counters = self._spec.n_agents if self._options.checkpoints == "player" else 1
        self._reached = np.zeros(counters, int)  # rings, of each player or of the team
        self._read_engine(self._towards_goal)
        return self._instant(0.0, 0.0, False)

    def step(self, actions: Sequence[int]) -> Instant:
        """Move by one step of the engine."""
        chosen = list(actions)
        self._actions.append(chosen)
        _, goal, done, _ = self._core.step(chosen)
        turns_back = self._options.still == "goal"
        self._read_engine(self._towards_goal if turns_back else self.view.facing)
        return self._instant(self._reward(goal), float(goal > 0), done)

    def _reward(self, goal: int) -> float:
        """Count the rings now reached; return their worth and that of a goal (1, 0 or -1).

        Where each player counts rings of its own, each is paid for the goal.
        """
        view, before = self.view, self._reached.copy()
        if goal > 0:
            self._reached[:] = RINGS
        elif view.team == 0 and view.owner >= 0:
            counter = view.owner if len(before) > 1 else 0
            now = rings_reached(float(np.hypot(view.ball[0] - 1, view.ball[1])))
            self._reached[counter] = max(before[counter], now)
        return float(goal * len(before) + RING * (self._reached - before).sum())

    def _read_engine(self, facing: np.ndarray) -> None:
        """Set `view` to the engine's present; who stands faces as given."""
        raw, n = self._core.observation(), self._spec.n_agents
        players = np.concatenate((raw["left_team"], raw["right_team"]))
        motion = np.concatenate((raw["left_team_direction"], raw["right_team_direction"]))
        facing = turned(facing, motion[:n])
        self.view = View(
            players=players,
            motion=motion,
            facing=facing,
            seen=seen(players[:n], facing, players),
            ball=raw["ball"],
            ball_motion=raw["ball_direction"],
            team=raw["ball_owned_team"],
            owner=raw["ball_owned_player"],
        )

    def _instant(self, reward: float, gain: float, done: bool) -> Instant:
        view, owned = self.view, np.zeros(3)
        owned[view.team + 1] = 1
        state = np.concatenate(
            (view.players.ravel(), view.motion.ravel(), view.ball, view.ball_motion, owned)
        )
        return Instant(
            obs=self._observations(owned).astype(np.float32),
            state=state.astype(np.float32),
            reward=[reward] * self._spec.n_agents,
            gain=gain,
            terminated=done,
        )

    def _observations(self, owned: np.ndarray) -> np.ndarray:
        """Return what each agent observes, ``[N, O]`` (see the module); `owned` is one-hot."""
        view, n = self.view, self._spec.n_agents
        own_place = view.players[:n]
        relative = self._options.places == "relative"
        origin = own_place if relative else np.zeros_like(own_place)
        obs = np.empty((n, self._spec.obs_dim))
        obs[:, 0:2] = own_place
        obs[:, 2:4] = view.ball[:2] - origin
        obs[:, 4] = view.ball[2]
        obs[:, 5:8] = view.ball_motion
        obs[:, 8:11] = owned
        visible = np.take_along_axis(view.seen, self._others, 1)
        obs[:, 11::3] = visible
        obs[:, 12::3] = (view.players[self._others, 0] - origin[:, :1]) * visible
        obs[:, 13::3] = (view.players[self._others, 1] - origin[:, 1:]) * visible
        return obs

    def save(self) -> bytes:
        """Return the episode's seed and all actions since its start, as JSON."""
        return as_json(seed=self._seed, actions=self._actions)

    def load(self, saved: bytes) -> None:
        """Play the saved episode once more, up to where it was. Raises `UserError` for another.

        The engine could take up a state of its own at once, but to do so it runs what lies in it.
        """
        state = from_json(saved, ("seed", "actions"))
        seed = int(array("seed", state["seed"], (), int))
        played = len(state["actions"]) if isinstance(state["actions"], list) else 0
        shape = (played, self._spec.n_agents) if played else (0,)
        actions = array("actions", state["actions"], shape, int)
        if (actions < 0).any() or (actions >= self._spec.n_actions).any():
            raise UserError(f"The saved actions are not all in 0..{self._spec.n_actions - 1}.")
        self.reset(seed)
        for chosen in actions.tolist():
            self.step(chosen)

    def close(self) -> None:
        """End the engine."""
        self._core.close()
