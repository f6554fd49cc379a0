"""What SePS sets besides its actor-critic: when agents are clustered, and on what."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """The settings of SePS that are not its actor-critic's."""

    clusters: int = 0  # K; 0: of the smallest Davies-Bouldin index   (reference code)
    pretraining: int = 2000  # updates before the clustering   (MADPS; 5,000 in SePS)
    data: int = 200  # of them, whose transitions the code learns from
