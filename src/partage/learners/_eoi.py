"""EOI's networks: who it is by an observation, and the value of being told apart."""

from collections.abc import Sequence

from jaxtyping import Float32, Int64
from torch import Tensor, nn, zeros_like

from partage.nn.dense import apply_layers
from partage.nn.networks import MLP
from partage.nn.pointwise import log_softmax
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sims.contract import Spec, stream


class Individual(nn.Module):
    """The classifier, and the value of being told apart, on K transitions of each run."""

    def __init__(self, spec: Spec, units: int, seeds: Sequence[int]) -> None:
        super().__init__()
        n = spec.n_agents
        g = generators([stream(seed, "individual") for seed in seeds])
        self.everyone = assignment.full(len(seeds), n)
        self.classifier = MLP(g, 1, [spec.obs_dim, units, units, n])
        self.value = MLP(g, 1, [spec.obs_dim, units, units, spec.n_actions], agent_id=n)

    def identity(self, obs: Float32[Tensor, "R K N O"]) -> Float32[Tensor, "R K N N"]:
        """Return log p(id | o) of every id."""
        return log_softmax(self.apply_to(self.classifier, obs))

    def values(self, obs: Float32[Tensor, "R K N O"]) -> Float32[Tensor, "R K N A"]:
        """Return the intrinsic value of every action."""
        return self.apply_to(self.value, obs)

    def apply_to(self, network: MLP, obs: Float32[Tensor, "R K N O"]) -> Float32[Tensor, "R K N _"]:
        """Return the network's outputs for each agent's observation; rows have agents in turn."""
        rows = network(obs.flatten(1, 2)[:, None, None], self.everyone)
        return rows[:, 0, 0].unflatten(1, obs.shape[1:3])

    def apply_to_rows(
        self, network: MLP, obs: Float32[Tensor, "R K O"], agent: Int64[Tensor, "R K"]
    ) -> Float32[Tensor, "R K _"]:
        """Return the network's outputs for rows of agents in any order."""
        first, *others = network.select(self.everyone)
        ids = first.table.shape[2]  # an entry for each agent, or one where it is shown no id
        first = first._replace(entries=ids)
        of_id = (agent if ids > 1 else zeros_like(agent)) - 1  # place -1 is the first entry
        return apply_layers(obs[:, None, None], [first, *others], of_id[:, None, None])[:, 0, 0]
