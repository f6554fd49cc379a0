"""The API's reference: the names that mkdocstrings documents from their docstrings."""

import partage

INTRODUCTION = """# API

Generated from the docstrings. Axes have one order everywhere: R runs (seeds trained side by side),
B copies, T time, S observations, N agents, A actions, then features.
"""
FURTHER = {  # what a method, an environment or a training loop of one's own builds on
    "Learners": [
        "partage.learners.Learner",
        "partage.learners.make",
        "partage.rl.rollout.Rollout",
        "partage.rl.rollout.collect_episodes",
        "partage.rl.rollout.collect_segment",
    ],
    "Environments": [
        "partage.sims.contract.Env",
        "partage.sims.contract.TimeStep",
        "partage.sims.contract.stream",
        "partage.sims.spec.Spec",
        "partage.sims.batch.Batched",
    ],
    "Other frameworks": [
        "partage.wrappers.pettingzoo.ParallelTask",
        "partage.wrappers.smac.StarCraft2Env",
    ],
    "Sharing": ["partage.sharing.assignment", "partage.sharing.overlap"],
    "Statistics": ["partage.analysis.stats"],
}


def page() -> str:
    """Return the page, which names what mkdocstrings has to fill in."""
    parts = [INTRODUCTION, "## partage"]
    parts += [entry(f"partage.{name}") for name in partage.HOMES]
    for title, names in FURTHER.items():
        parts.append(f"## {title}")
        parts += [entry(name) for name in names]
    return "\n\n".join(parts) + "\n"


def entry(name: str) -> str:
    """Return what has mkdocstrings write the entry of a name."""
    return f"::: {name}"
