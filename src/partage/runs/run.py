"""Runs as a Python program sees them: train one, load them, ask what they learned.

Reading runs loads no torch; training them, and asking their policies, does.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from partage.config import outcomes, plan, recipe
from partage.config.custom import custom_recipe
from partage.config.recipe import ENGINES, Recipe, run_dir, write_recipes
from partage.config.request import Request
from partage.config.types import Scalar
from partage.errors import UserError, at_least
from partage.runs import record

if TYPE_CHECKING:
    from partage.runs.play import RunPolicy


class Run:
    """One finished run: R seeds of one algorithm on one task, trained side by side.

    `folder` holds what training left. `recipe` is what was trained, `record` who made it when on
    what, and `curve` what was measured: a frame with the columns seed, env_steps, updates, metric
    and value. Raises `UserError` where the run is missing, unfinished or corrupt.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.curve, self.record = record.read(self.folder)
        self.recipe: Recipe = recipe.parse(self.record["recipe"], self.folder / "record.json")

    def __repr__(self) -> str:
        """Return what was trained, and where it lies."""
        one = self.recipe
        return f"Run({one.algorithm} on {one.task}, seeds {one.seeds}, {str(self.folder)!r})"

    def sharing(self) -> pd.DataFrame:
        """Return who shared with whom: a row each time that a seed's partition changed.

        Columns: seed, block ("front", "back", "agent", ...), env_steps, updates, and agent_0 ..
        agent_<N-1>, the group that each agent is in from that update on. Groups are numbered in
        order of their first members. There are no rows where nobody has parameters to share.
        """
        named = self.curve["metric"].str.extract(r"^sharing/(?P<block>.+)/(?P<agent>\d+)$")
        shared = self.curve.assign(block=named["block"], agent=named["agent"])
        shared = shared.dropna(subset=["block"]).astype({"agent": "int64", "value": "int64"})
        keys = ["seed", "block", "env_steps", "updates"]
        wide = shared.pivot(index=keys, columns="agent", values="value")
        wide.columns = [f"agent_{agent}" for agent in wide.columns]
        return wide.reset_index()

    def policy_distance(self, kind: str = "wasserstein", episodes: int = 32) -> np.ndarray:
        """Return the distances of the policies at the run's end, ``[R, N, N]`` in order of seeds.

        Each seed's policies play `episodes` episodes; a code of what they would do on all that
        they met gives the distance of every pair of agents (MPD eq. 1). The same call gives the
        same numbers. `kind` is one of wasserstein, bhattacharyya, hellinger, vanilla_bhattacharyya
        and vanilla_hellinger. Raises `UserError` for another kind, or a run without policies.
        """
        from partage.runs import evaluate

        at_least("episodes", episodes, 1)
        with own_settings():
            found = evaluate.policy_distances(self.folder, kind, episodes)
        agents = len(set(found["i"]))
        return found["distance"].to_numpy().reshape(len(self.recipe.seeds), agents, agents)

    def policy(self, seed: int = 0, explore: bool = False) -> "RunPolicy":
        """Return the policies of one seed at the run's end, ready to play: ``policy(step)``.

        They are greedy, or act as in training with `explore`. Raises `UserError` for a seed that
        the run has not got, or a run without policies.
        """
        from partage.runs.play import RunPolicy

        return RunPolicy(self.folder, seed, explore)


def load_runs(folder: str | Path) -> list[Run]:
    """Return all finished runs in `folder` and below, in order of their folders.

    Raises `UserError` where there is none, or one is corrupt.
    """
    return [Run(place) for place in outcomes.find(Path(folder).expanduser())]


def train(
    algorithm: str,
    task: str,
    *,
    scale: str = "smoke",
    seeds: Iterable[int] | None = None,
    results: str | Path = "results",
    steps: int | None = None,
    engine: str = ENGINES[0],
    device: str = "cpu",
    live: str = "",
    **settings: Scalar,
) -> Run:
    """Train a named algorithm on a task, all seeds side by side, and return the finished run.

    A run that was stopped goes on from its last checkpoint; a finished one is returned as it is.
    `algorithm` and `task` are those of the config files (`partage list`), `seeds` the scale's own
    when None, `steps` joint environment steps of each seed. `settings` are fields of the learner's
    Settings, `live` logs that grow while it trains: "csv", "tensorboard" or "csv,tensorboard". The
    run lies where the workflow looks for it; with steps or settings of its own, in a folder that
    names them. Raises `UserError` for what does not exist, for an imported algorithm,
    and for a run that another process trains; Ctrl-C saves a checkpoint first.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UserError("Training heeds Ctrl-C, which the main thread gets: train there.")
    if not isinstance(results, str | Path):
        raise UserError(f"results is a folder, but is {results!r}.")
    request = Request.of({"scale": scale, "engine": engine, "live": live})
    one = custom_recipe(plan.load(), algorithm, task, request, seeds, steps, settings)
    root = recipe.results_root(Path(results).expanduser(), scale, engine)
    folder = run_dir(root, one)
    write_recipes(root, [one])
    _train_to_the_end(folder, device, live)
    return Run(folder)


def _train_to_the_end(folder: Path, device: str, live: str) -> None:
    """Train the recipe in `folder`; Ctrl-C is what it is elsewhere in Python."""
    from partage.runs import train as training

    try:
        with own_settings():
            training.run(folder / "recipe.json", device, live=live)
    except SystemExit as stop:
        if stop.code == 130:  # a checkpoint is saved
            raise KeyboardInterrupt from stop
        raise


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Give the process back what a run sets for itself: one thread, and no denormal numbers."""
    import torch

    threads = torch.get_num_threads()
    flushes_denormals = float(torch.tensor(1e-40) * 1.0) == 0.0
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushes_denormals)
