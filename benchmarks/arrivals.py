"""Which agents of a coloured spread task find their landmark: a colour is paid only while all of it
have arrived.

``python -m benchmarks.arrivals RUN ...`` plays 32 episodes with the policies of each run (it needs
``policy.pt``) and prints, seed by seed, the return, who shares a back with whom, and every agent
that has arrived for less than 90 % of the last ten steps of the episodes. No speed, but what
docs/fidelity.md rests on.
"""

import sys
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor

from partage.errors import UserError
from partage.runs import evaluate
from partage.sims.particles.spread import NEAR
from partage.sims.particles.tasks import Task, named

EPISODES, LAST, ENOUGH = 32, 10, 0.9


def arrived(obs: Float32[Tensor, "R B T N O"], task: Task) -> Float32[Tensor, "R N"]:
    """The share of the last steps for which each agent was near its landmark."""
    if not task.hardened:
        raise UserError(
            "Agents of the original spread do not see their distance: nothing to tell arrivals by."
        )
    last = (
        task.spec.obs_dim - 1
    )  # the entry that is the own distance; in shuffled tasks it stands elsewhere
    place = torch.tensor([list(order).index(last) for order in task.orders])[task.colours]
    late = obs[:, :, -LAST:]
    return (
        (late.gather(-1, place.expand(late.shape[:-1])[..., None]).squeeze(-1) < NEAR)
        .float()
        .mean((1, 2))
    )


def groups(row: Tensor) -> str:
    """The partition of agents, as sets.

    >>> groups(torch.tensor([4, 4, 2]))
    '{0 1} {2}'
    """
    members: dict[int, list[str]] = {}
    for n, used in enumerate(row.tolist()):
        members.setdefault(used, []).append(str(n))
    return " ".join("{" + " ".join(each) + "}" for each in members.values())


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        recipe, policies, played = evaluate.play(folder, "distance", EPISODES, explore=True)
        share, backs = arrived(played.obs, named(recipe.task.partition("/")[2])), policies.sharing()
        for r, seed in enumerate(recipe.seeds):
            late = {n: f"{x:.0%}" for n, x in enumerate(share[r].tolist()) if x < ENOUGH}
            print(
                f"{recipe.algorithm} {recipe.task} seed {seed}: "
                f"return {played.reward[r].sum((1, 2)).mean():.0f}, "
                f"backs {groups(backs['back'][r])}, late {late or 'nobody'}"
            )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"partage: {error}")
