"""Scripted play of the battles: how often and how fast simple policies win, and their battles as
pictures.

``PYTHONPATH=src python -m benchmarks.scripted`` plays 256 episodes of each policy on each map and
prints a table; ``--pictures DIR`` draws an episode of the focused policy on each map as a strip,
and as an animation where asked. The policies see everything. `focus`: attack the enemy that may be
attacked with the least health left, walk to the nearest one otherwise; a medivac heals the weakest.
`random`: any available action. `stop`: none ever.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from partage.plots.battles import Battle, animate, strip
from partage.sims.batch import Batched
from partage.sims.contract import TimeStep
from partage.sims.skirmish.data import find_map, maps
from partage.sims.skirmish.simulator import Options, make_kernel
from partage.sims.skirmish.world import Rules, World

NOTHING, STOP, NORTH, FIRST = 0, 1, 2, 6  # SMAC's actions; north, south, east, west, then targets
DIRECTIONS = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])
Policy = Callable[[Rules, World, np.ndarray, np.random.Generator], Int64[np.ndarray, "C N"]]


def idle(
    rules: Rules, world: World, available: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Stop, where alive."""
    del rules, world, generator
    return np.where(available[..., STOP], STOP, NOTHING)


def at_random(
    rules: Rules, world: World, available: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Any available action."""
    del rules, world
    return np.where(available, generator.random(available.shape), -1).argmax(-1)


def focus(
    rules: Rules, world: World, available: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The weakest target that an agent may be ordered to attack or heal, or a step towards the
    nearest one.
    """
    n, e = rules.n_agents, rules.n_enemies
    health, alive = world.health + world.shield, world.health > 0
    place = np.stack([world.x, world.y], -1)
    gaps = np.linalg.norm(place[:, :n, None] - place[:, None], axis=-1)
    heals, enemy = rules.heals.astype(bool), np.arange(n + e) >= n
    hurt = alive & (world.health < rules.health_max) & ~heals
    # Whom an agent would attack or heal [C, N, U]: enemies it can hit, or hurt friends
    wanted = np.where(
        heals[:n, None], hurt[:, None] & ~enemy, alive[:, None] & enemy & (rules.damage[:n] > 0)
    )
    weakness = np.where(wanted, health[:, None] + 1e-3 * gaps, np.inf)  # of equals the nearest
    friends = np.concatenate([weakness[..., :n], np.full((len(health), n, e), np.inf)], -1)[..., :e]
    numbered = np.where(
        heals[:n, None], friends, weakness[..., n:]
    )  # medivacs count agents, others enemies
    numbered = np.where(available[..., FIRST:], numbered, np.inf)
    goal = np.take_along_axis(place, np.where(wanted, gaps, np.inf).argmin(-1)[..., None], 1)
    along = ((goal - place[:, :n])[:, :, None] * DIRECTIONS).sum(-1) + 0.3 * generator.random(
        (len(health), n, 4)
    )
    step = np.where(available[..., NORTH:FIRST], along, -np.inf).argmax(-1)
    chosen = np.where(np.isfinite(numbered.min(-1)), FIRST + numbered.argmin(-1), NORTH + step)
    possible = np.take_along_axis(available, chosen[..., None], -1)[..., 0]
    return np.where(available[..., STOP], np.where(possible, chosen, STOP), NOTHING)


POLICIES: dict[str, Policy] = {"focus": focus, "random": at_random, "stop": idle}


class Battles:
    """Copies of a map, and a policy that plays them."""

    def __init__(
        self, name: str, policy: str, copies: int, seed: int = 0, options: Options | None = None
    ) -> None:
        found = find_map(name)
        made = make_kernel(found, options or Options(), copies)
        self.rules, self.world = made.rules, made.world
        self.env = Batched(found.spec, lambda _: made, [seed], copies, "terminal")
        self._policy, self._generator = POLICIES[policy], np.random.default_rng(seed)

    def step(self, step: TimeStep) -> TimeStep:
        chosen = self._policy(
            self.rules, self.world, step.avail_actions[0].numpy(), self._generator
        )
        return self.env.step(torch.from_numpy(chosen)[None])

    def play(self) -> tuple[float, float, float]:
        """One episode of each copy: the mean of battles won, length and return."""
        step, returns = self.env.reset(), 0.0
        lengths = torch.zeros(1, self.env.copies)
        while not step.ended.all():
            lengths += ~step.ended
            step = self.step(step)
            returns += float(step.reward[..., 0].mean())
        return float(step.score.mean()), float(lengths.mean()), returns


def record(name: str, policy: str, seed: int) -> Battle:
    """One episode, its positions and health at each step."""
    battles = Battles(name, policy, 1, seed)
    rules, world, step = battles.rules, battles.world, battles.env.reset()
    frames = [world.units[0].copy()]
    while not step.ended.all():
        step = battles.step(step)
        frames.append(world.units[0].copy())
    units = np.stack(frames)
    end = "won" if step.score.item() else "lost"
    return Battle(
        title=f"{name} (simulator), {policy} policy: {end} in {len(units) - 1} steps",
        x=units["x"],
        y=units["y"],
        health=units["health"] / rules.health_max,
        shield=units["shield"] / np.maximum(rules.shield_max, 1),
        target=units["target"],
        radius=rules.body,
        kind=rules.kind,
        n_agents=rules.n_agents,
        walkable=rules.pathing,
        cliff=rules.striding & ~rules.pathing,
        level=rules.level,
    )


def table(names: list[str], copies: int) -> str:
    lines = ["| map | policy | battles won | steps | return |", "|---|---|---:|---:|---:|"]
    for name in names:
        for policy in POLICIES:
            won, length, returns = Battles(name, policy, copies).play()
            lines.append(f"| {name} | {policy} | {won:.1%} | {length:.0f} | {returns:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.scripted", description=__doc__)
    parser.add_argument("--maps", nargs="*", default=list(maps()))
    parser.add_argument("--copies", type=int, default=256)
    parser.add_argument("--pictures", type=Path, help="draw instead, into this folder")
    parser.add_argument(
        "--animations", action="store_true", help="with --pictures: a GIF of each episode, too"
    )
    parser.add_argument("--policy", default="focus", choices=POLICIES)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.pictures is None:
        print(table(given.maps, given.copies))
        return
    for name in given.maps:
        battle = record(name, given.policy, given.seed)
        strip(battle, given.pictures / f"{name}.png")
        if given.animations:
            animate(battle, given.pictures / f"{name}.gif")
        print(battle.title)


if __name__ == "__main__":
    main()
