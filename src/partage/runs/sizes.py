"""How large a learner's networks are: what it trains, and what it takes to pass through."""

from typing import Any

from torch import nn

from partage.nn.mixer import Mixer
from partage.nn.tangents import banks


def of(learner: Any) -> dict[str, int]:
    """Return the numbers that one run trains, and the multiply-adds of one row through its layers.

    One-hot inputs are looked up and add nothing, nor does the mixer, which is for no agent's row.
    A learner whose networks are not where all have them (`net` or `nets`) has no size.
    """
    inner = getattr(learner, "base", learner)
    networks = getattr(inner, "net", getattr(inner, "nets", None))
    if not isinstance(networks, nn.Module):
        return {}
    trained = [x for x in networks.parameters() if x.requires_grad]
    of_mixers = {id(bank) for x in networks.modules() if isinstance(x, Mixer) for bank in banks(x)}
    layers = [bank for bank in banks(networks) if id(bank) not in of_mixers]
    return {
        "parameters": sum(x[0].numel() for x in trained),
        "multiply_adds": sum(bank.inputs * bank.bias.shape[-1] for bank in layers),
    }
