"""HyperMARL on PPO: each agent's actor and critic are generated from its code.

**Paper.** Tessera et al. 2024, whose text was not to be had: its code is what was read. A network
generates every layer's weight from an agent's code, another one its bias; so gradients by what
agents observe and by who they are stay apart, without a loss of its own.

**Reference code.** github.com/KaleabTessera/HyperMARL, on JaxMARL's IPPO and MAPPO. The generators
are linear in the code, or have a hidden layer; codes are one-hot or learned. Blocks of weights
start orthogonal (gain 1.41; 0.01 and 1 of the last layers), generated biases at 0. The id is in the
code alone: no network sees it. Recurrent networks have their first layer and the memory in common,
and what lies behind them generated.

**Departures.** A recurrent critic has a memory of its own, as all of PPO's do here, and memories
start as torch draws them (there: flax, orthogonal in the recurrence); in its IPPO actor and critic
have one body. Of its code's start (`generated_init = "paper"`) a generated layer's gain is 0.6 to
3.9 times what it is meant to be, by the sizes of code and hidden layer; `"scaled"` divides by the
features' size, so that all start at it. Actor and critic have one table of codes, but where their
gradients are apart (`norms = "each"`) one each, as its recurrent MAPPO does, but not its
feed-forward one. Without a constant the generators' hidden layers keep their biases (there:
neither). Linear in one-hot codes and without a constant it is no sharing at all, which a test holds
it to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Generator, Tensor, nn

from partage.errors import UserError
from partage.learners import _ppo_settings
from partage.learners._ppo_networks import Network, Networks, inits_of
from partage.learners.ppo import PPO
from partage.nn.adapters import Shared
from partage.nn.bank import Bank, Init, orthogonal_init
from partage.nn.generated import Hypernetwork
from partage.nn.tangents import banks, overlap
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec, stream

# what makes it quick on the small tasks of its tests
QUICK = {"copies": 8, "segment": 8, "epochs": 2, "minibatches": 2, "hidden": 16}
PER_RUN = True  # in a pack of several cells
GAIN = 2**0.5  # of codes and of hidden layers   (HyperMARL)


@dataclass(frozen=True)
class Settings(_ppo_settings.Settings):
    """The settings of PPO whose networks are generated."""

    # mlp: with a hidden layer; linear: without
    generator: Literal["mlp", "linear"] = "mlp"  # HyperMARL on SMAX
    codes: Literal["learned", "one-hot"] = "learned"  # HyperMARL on SMAX
    code: int = 4  # numbers of a learned code   (HyperMARL: 4 or 64, by map)
    generator_hidden: int = 16  # units of the hidden layer   (HyperMARL: 16, 32 or 64, by map)
    constant: bool = True  # a term that all agents have in common   (HyperMARL)
    # paper: as HyperMARL draws blocks; scaled: so that each generated layer starts at its gain
    generated_init: Literal["paper", "scaled"] = "paper"


class HyperMARL(PPO):
    """PPO that reports how much its agents' generated networks share."""

    def sharing(self) -> Mapping[str, Assignment | Shares]:
        """Return that each agent has its own set, and how much any two of them share."""
        actor, n = self.net.actor, self.n_agents
        front = Shares(self.net.front_of, lambda: overlap(actor.body, n))
        back = Shares(self.net.back_of, lambda: overlap(actor.head, n))
        return dict(super().sharing()) | {"front": front, "back": back}


def check(s: Settings) -> None:
    """Raise `UserError` where networks cannot be generated so."""
    if s.sharing != "full":
        raise UserError(
            "HyperMARL's networks are generated from one that all share, and the id is in the code "
            f"alone: sharing is full, not {s.sharing!r}."
        )


def generate(net: Networks, s: Settings, seeds: Sequence[int], n_agents: int) -> None:
    """Generate the actor, and the critic where it follows the actor, from codes of agents."""
    draws = generators([stream(seed, "sets") for seed in seeds])
    hidden, of_actor, of_critic = inits_of(s.init)
    codes = _codes(s, draws, n_agents)
    _generate(net.actor, s, codes, draws, (hidden, of_actor))
    index = assignment.none(len(seeds), n_agents)
    net.front_of, net.back_of = index, index.clone()
    if net.critic_follows:
        of_its_own = s.norms == "each"
        codes = _codes(s, draws, n_agents) if of_its_own else codes
        _generate(net.critic, s, codes, draws, (hidden, of_critic))
        net.alike = False  # its values of one state differ by agent


def _codes(s: Settings, draws: Sequence[Generator], n_agents: int) -> Tensor:
    """Return the agents' codes: a parameter ``[R, N, E]``, or those that nobody learns."""
    if s.codes == "one-hot":
        return torch.eye(n_agents)
    drawn = torch.empty(len(draws), n_agents, s.code)
    for of_run, generator in zip(drawn, draws, strict=True):
        nn.init.orthogonal_(of_run, GAIN, generator=generator)
    return nn.Parameter(drawn)


def _generate(
    network: Network,
    s: Settings,
    codes: Tensor,
    draws: Sequence[Generator],
    inits: tuple[Init, Init],
) -> None:
    """Generate a network's layers, but those before a memory: these all share."""
    n_agents = codes.shape[-2]
    network.sets = n_agents
    before, behind = list(banks(network.body["layers"])), list(banks(network.head))
    made = behind if network.hidden else before + behind
    for bank in before if network.hidden else ():
        bank.derivation = Shared(n_agents)
    for bank in made:
        _generate_layer(bank, s, codes, draws, inits[bank is made[-1]])


def _generate_layer(
    bank: Bank, s: Settings, codes: Tensor, draws: Sequence[Generator], init: Init
) -> None:
    """Generate a layer; what was drawn as its weight becomes the constant, which starts at 0."""
    of_segments = s.memory == "none"
    made = Hypernetwork(
        bank,
        codes,
        draws,
        hidden=s.generator_hidden if s.generator == "mlp" else 0,
        init=init,
        learned=s.codes == "learned",
        features=_lecun_init if of_segments else orthogonal_init(GAIN),
    )
    for name in ("weight", "bias"):
        start = torch.zeros_like(bank.get_parameter(name).detach())
        if s.constant:
            setattr(bank, name, nn.Parameter(start))
        else:
            delattr(bank, name)
            bank.register_buffer(name, start)
    if s.generated_init == "scaled":
        made.scale_blocks()
    bank.derivation = made


def _lecun_init(
    weight: Float32[Tensor, "I O"], bias: Float32[Tensor, "O"], generator: Generator
) -> None:
    """Draw as flax's dense layers do: normal within two deviations, of variance 1 / inputs."""
    deviation = weight.shape[0] ** -0.5 / 0.87962566103423978  # of what is cut off
    nn.init.trunc_normal_(
        weight, std=deviation, a=-2 * deviation, b=2 * deviation, generator=generator
    )
    bias.zero_()


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> HyperMARL:
    """Return HyperMARL for this task, one run per seed."""
    check(settings)
    _ppo_settings.check(settings, spec)
    net = Networks(spec, settings, seeds, None)
    generate(net, settings, seeds, spec.n_agents)
    return HyperMARL(spec, settings, seeds, device, net=net)
