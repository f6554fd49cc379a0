"""Clusters of a run's few points, with a seed of the run's own: SePS, RODE, GradPS."""

from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.cluster import KMeans, spectral_clustering
from torch import Tensor

STARTS: Any = (
    10  # of k-means++ (SePS); Any: scikit-learn's signature knows only its default, "auto"
)


def k_means(points: Float[Tensor, "K Z"], clusters: int, seed: int) -> list[int]:
    """Return the cluster of each point."""
    found = KMeans(clusters, n_init=STARTS, random_state=seed)
    return found.fit_predict(points.double().cpu().numpy()).tolist()


def spectral(affinity: Float[Tensor, "K K"], clusters: int) -> list[int]:
    """Return the cluster of each point, by how near any two are   (GradPS: with the seed 0)."""
    if len(affinity) <= clusters:
        return list(range(len(affinity)))
    # of what has no affinity at all it would warn
    near = np.maximum(affinity.double().numpy(), np.finfo(np.float64).tiny)
    found: Any = spectral_clustering(  # its type has a None, which it does not return
        near, n_clusters=clusters, assign_labels="discretize", random_state=0
    )
    return found.tolist()
