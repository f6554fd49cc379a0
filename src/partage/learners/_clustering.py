"""K-means on a run's few points, with a seed of the run's own: SePS's agents, RODE's actions."""

from typing import Any

from jaxtyping import Float
from sklearn.cluster import KMeans
from torch import Tensor

STARTS: Any = (
    10  # of k-means++ (SePS); Any: scikit-learn's signature knows only its default, "auto"
)


def k_means(points: Float[Tensor, "K Z"], clusters: int, seed: int) -> list[int]:
    """Return the cluster of each point."""
    found = KMeans(clusters, n_init=STARTS, random_state=seed)
    return found.fit_predict(points.double().cpu().numpy()).tolist()
