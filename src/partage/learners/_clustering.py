"""Clusters of a run's few points, with a seed of the run's own: SePS, RODE, GradPS, HetDPS."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.cluster import KMeans, affinity_propagation, spectral_clustering
from sklearn.metrics import silhouette_score
from torch import Tensor

STARTS: Any = (
    10  # of k-means++ (SePS); Any: scikit-learn's signature knows only its default, "auto"
)
MESSAGES = 200  # rounds of affinity propagation in which it has to settle   (scikit-learn)


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


def exemplars(distance: Float[Tensor, "K K"], seed: int) -> list[int] | None:
    """Return the cluster of each point by affinity propagation; None: it came to no rest.

    Affinities are minus the distances, the preference is their median, the damping 0.5
    (scikit-learn), so that twice the distances give the same clusters.
    """
    with warnings.catch_warnings():  # it says so as well where all are equally far apart
        warnings.simplefilter("ignore")
        found: Any = affinity_propagation(
            -distance.double().numpy(), max_iter=MESSAGES, return_n_iter=True, random_state=seed
        )
    _, labels, rounds = found
    return labels.tolist() if rounds < MESSAGES else None


def silhouette(distance: Float[Tensor, "K K"], labels: list[int]) -> float:
    """Return how much nearer points are to their own cluster than to the next, of 1.

    Of one cluster, or of points that are all alone, it is 0.
    """
    if not 1 < len(set(labels)) < len(labels):
        return 0.0
    return float(silhouette_score(distance.double().numpy(), labels, metric="precomputed"))
