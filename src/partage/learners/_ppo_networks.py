"""PPO's networks: an actor and a critic, each layers, a memory if it has one, and layers."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float32
from torch import Generator, Tensor, nn

from partage.kernels.acting import Bank
from partage.learners._ppo_settings import Settings, sharing_of
from partage.nn.bank import Init, from_rows, linear_init, orthogonal_init, to_rows
from partage.nn.dense import Layer, apply_layers
from partage.nn.gru import GRU, GRUWeights, run_gru
from partage.nn.networks import MLP, FixedSharing
from partage.nn.state import hold, used
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream

HIDDEN_GAIN, ACTOR_GAIN, CRITIC_GAIN = 2**0.5, 0.01, 1.0  # of layers' weights   (JaxMARL)


class Shape(NamedTuple):
    """What a network is made of."""

    inputs: int
    outputs: int
    hidden: int
    layers: int  # a memory's are not counted
    recurrent: bool
    init: Init
    last_init: Init  # of the last layer


class Network(nn.Module):
    """A body and a head: the body ends in a GRU where the network is recurrent.

    Of layers alone the body has the greater half, as MPD's actor of four has two and two; before a
    memory there is one layer.
    """

    def __init__(self, g: list[Generator], sharing: FixedSharing, shape: Shape) -> None:
        super().__init__()
        self.sets, h = sharing.sets, shape.hidden
        behind = shape.layers - 1 if shape.recurrent else shape.layers // 2  # layers of the head
        front = [shape.inputs, *[h] * (shape.layers - behind)]
        self.body = nn.ModuleDict(
            {"layers": MLP(g, self.sets, front, shape.init, sharing.agent_id, end=True)}
        )
        if shape.recurrent:
            self.body["memory"] = GRU(g, self.sets, h, h)
        back = [*[h] * behind, shape.outputs]
        self.head = MLP(g, self.sets, back, shape.init, last=shape.last_init)
        self.hidden = h if shape.recurrent else 0  # numbers that an agent remembers

    def select(self, body_of: Assignment, head_of: Assignment) -> "SelectedNetwork":
        """Return the networks that each agent goes through; they hold until the next update."""
        memory = self.body["memory"].select(body_of) if self.hidden else None  # type: ignore[operator]
        front = self.body["layers"].select(body_of)  # type: ignore[operator]
        return SelectedNetwork(self.sets, front, memory, self.head.select(head_of))


class SelectedNetwork(NamedTuple):
    """`Network` with the sets of assignments."""

    sets: int
    front: list[Layer]
    memory: GRUWeights | None
    back: list[Layer]

    def __call__(
        self, x: Float32[Tensor, "R B T N F"], h: Float32[Tensor, "R B N H"] | None = None
    ) -> tuple[Float32[Tensor, "R B T N O"], Float32[Tensor, "R B N H"] | None]:
        """Return the outputs at every instant, and the memory after the last, if there is one.

        `h` is the memory before the first instant (None: empty).
        """
        n, rows = x.shape[3], to_rows(x, self.sets)
        if self.memory is None:
            return from_rows(apply_layers(rows, [*self.front, *self.back]), n), None
        if h is None:
            hidden = self.back[0].weight.shape[2]
            h = x.new_zeros(*x.shape[:2], n, hidden)
        rows = apply_layers(rows, self.front)
        states = run_gru(rows, to_rows(h[:, :, None], self.sets)[:, :, 0], self.memory)
        outputs = from_rows(apply_layers(states, self.back), n)
        return outputs, from_rows(states[:, :, -1:], n)[:, :, 0]


class Networks(nn.Module):
    """Actor and critic of R runs, and who goes through which of their sets.

    A learner that moves the sharing gives `share` its banks' size, and moves `front_of` (the
    actor's body) and `back_of` (its head).
    """

    front_of: Assignment
    back_of: Assignment
    own_critic_of: Assignment

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], share: FixedSharing | None
    ) -> None:
        super().__init__()
        s, runs, self.n_agents = settings, len(seeds), spec.n_agents
        share = share or sharing_of("none" if s.sharing == "front" else s.sharing, spec, runs)
        front_of = assignment.full(runs, spec.n_agents)
        front_of = front_of if s.sharing == "front" else share.assignment
        # the critic's is the actor's head's, or its own
        self.critic_follows = s.critic_sharing == "same"
        of_critic = share if self.critic_follows else sharing_of(s.critic_sharing, spec, runs)
        hold(self, front_of=front_of, back_of=share.assignment, own_critic_of=of_critic.assignment)
        # with one set and no id all agents' values of a state are one number
        self.on_state = s.critic == "state"
        self.alike = self.on_state and of_critic.sets == 1 and not of_critic.agent_id
        g = generators([stream(seed, "networks") for seed in seeds])
        inputs = spec.state_dim if self.on_state else spec.obs_dim
        init, actor_init, critic_init = inits_of(s.init)
        recurrent = s.memory != "none", s.memory == "both"
        actor = Shape(
            spec.obs_dim, spec.n_actions, s.hidden, s.actor_layers, recurrent[0], init, actor_init
        )
        critic = Shape(inputs, 1, s.hidden, s.critic_layers, recurrent[1], init, critic_init)
        self.actor, self.critic = Network(g, share, actor), Network(g, of_critic, critic)

    @property
    def critic_of(self) -> Assignment:
        """Return which of the critic's sets each agent goes through."""
        return self.back_of if self.critic_follows else self.own_critic_of

    def select_actor(self) -> SelectedNetwork:
        """Return the actors' networks that each agent goes through, until the next update."""
        return self.actor.select(used(self, "front_of"), used(self, "back_of"))

    def in_place(self) -> tuple[Bank, ...]:
        """Return the layers of actors without a memory for compiled acting."""
        front = self.actor.body["layers"].in_place(self.front_of)  # type: ignore[operator]
        return (*front, *self.actor.head.in_place(self.back_of))

    def logits(self, obs: Float32[Tensor, "R B T N O"]) -> Float32[Tensor, "R B T N A"]:
        """Return the actor's logits along observations, from an empty memory on."""
        return self.select_actor()(obs)[0]

    def values(
        self, obs: Float32[Tensor, "R B T N O"], state: Float32[Tensor, "R B T S"]
    ) -> Float32[Tensor, "R B T N"]:
        """Return the critic's values of each agent along observations or states."""
        x = obs
        if self.on_state:
            n = 1 if self.alike else self.n_agents
            x = state[:, :, :, None].expand(*state.shape[:3], n, state.shape[3])
        critic_of = used(self, "back_of" if self.critic_follows else "own_critic_of")
        values, _ = self.critic.select(critic_of, critic_of)(x)
        return values.squeeze(-1).expand(*obs.shape[:4])

    def parts(self, block: str) -> list[nn.Module]:
        """Return the networks whose sets move with a block's assignment."""
        if block == "front":
            return [self.actor.body]
        return [self.actor.head, self.critic] if self.critic_follows else [self.actor.head]


def inits_of(name: str) -> tuple[Init, Init, Init]:
    """Return the initialisers of hidden layers, of the actor's last and of the critic's last."""
    if name == "torch":
        return linear_init, linear_init, linear_init
    gains = (HIDDEN_GAIN, ACTOR_GAIN, CRITIC_GAIN)
    hidden, actor, critic = map(orthogonal_init, gains)
    return hidden, actor, critic
