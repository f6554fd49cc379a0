"""Which settings of EPyMARL, PyMARL and their forks do not change what a run computes.

Seeds of one experiment may differ in these; in any other they are two experiments.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

# the reason -> the settings, a nested one's parts joined by dots
BESIDE = {
    "names the run": (
        "seed",
        "env_args.seed",
        "repeat_id",
        "run_id",
        "run",
        "unique_token",
        "label",
        "hypergroup",
        "group",
        "tag",
        "tags",
        "comment",
        "remark",
        "note",
        "notes",
        "exp_name",
        "experiment_name",
        "run_name",
    ),
    "says where files go": (
        "local_results_path",
        "results_path",
        "results_dir",
        "save_path",
        "save_dir",
        "model_dir",
        "log_dir",
        "env_args.replay_dir",
        "env_args.replay_prefix",
    ),
    "says what computes": (
        "use_cuda",
        "cuda",
        "device",
        "cuda_device",
        "gpu",
        "gpu_id",
        "cpu",
        "buffer_cpu_only",
        "num_threads",
        "n_threads",
    ),
    "says what is saved, shown or written on the way, and how often": (
        "save_model",
        "save_model_interval",
        "save_model_end",
        "save_replay",
        "render",
        "env_args.render",
        "env_args.debug",
        "env_args.window_size_x",
        "env_args.window_size_y",
        "use_tensorboard",
        "log_interval",
        "runner_log_interval",
        "learner_log_interval",
        "verbose",
    ),
}
BESIDE_PREFIXES = ("wandb", "use_wandb", "tensorboard")  # names of loggers' own settings
CHECKPOINT = (
    "checkpoint_path"  # which one is a seed's own; whether there is one is the experiment's
)
NAME = "name"  # of the algorithm; a trailing seed in it belongs to the seed


def comparable(
    config: Mapping[str, Any], seed: int, ignore: Collection[str] = ()
) -> dict[str, str]:
    """Return the settings that all seeds of an experiment share, each as JSON.

    What is null in one run may be absent in another.
    """
    found: dict[str, str] = {}
    for key, value in config.items():
        if key == CHECKPOINT:
            value = True if value else None
        elif key == NAME and isinstance(value, str):
            value = re.sub(rf"[-_. ]+(seed|s|run)?[-_=]?0*{seed}$", "", value)
        if not (_is_beside(key) or key in ignore or value is None):
            found[key] = canonical(value)
    return found


def _is_beside(key: str) -> bool:
    """Return whether a setting does not change what is computed."""
    return key.startswith(BESIDE_PREFIXES) or any(key in names for names in BESIDE.values())


def canonical(value: Any) -> str:
    """Return a setting's value as JSON: equal values give equal text."""
    return json.dumps(value, sort_keys=True)
