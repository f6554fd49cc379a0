"""RODE on QMIX: roles are sets of actions with like effects, and a role selector restricts each
agent to one.

**Paper.** Wang et al. 2021, "RODE: learning roles to decompose multi-agent tasks": an action's
representation predicts the next observation and the reward; actions are clustered by it once, and a
cluster is a role. A selector gives each agent a role every few steps, and the value of an action is
a product with its representation.

**Reference code.** Bodies FC(64)-GRU(64) for roles and actions; representations of 20, trained by
RMSprop 5e-4 while a run is younger than 50,000 steps, with three roles of all actions till then.
Afterwards representations stay as they are and epsilon starts again. Roles learn by QMIX on sums of
rewards (the future discounted once). Random actions ignore the roles, and so does the maximum in
the target. Action 0 belongs to every role; fewer than three roles are filled up.

**Departures.** All heads exist from the start (the reference appends them after the optimiser is
made). Roles come from the replay, where the reference selects them anew at training. `basic` is
SMAC's rule for its first actions, else 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from sklearn.cluster import KMeans
from torch import Tensor, device, nn
from torch.nn import functional

from partage.errors import UserError
from partage.learners import qmix
from partage.learners._off_policy import OffPolicyLearner, before, held
from partage.nn.bank import Bank, from_rows, to_rows
from partage.nn.mixer import Mixer
from partage.nn.networks import MLP, Recurrent, SelectedRecurrent, fixed_sharing
from partage.nn.optimiser import Optimiser
from partage.rl.exploration import Exploration, ExplorationNoise, choose
from partage.rl.noise import generators
from partage.rl.rollout import Choice
from partage.sharing import assignment
from partage.sims.contract import Spec, TimeStep, stream

LEAST = 3  # roles; also how many there are before the clustering


@dataclass(frozen=True)
class Settings(qmix.Settings):
    interval: int = 5  # steps between two choices of roles   (RODE)
    clusters: int = 5  # of actions   (RODE: n_role_clusters, 3 or 5)
    latent: int = 20  # numbers that represent an action   (RODE)
    state_latent: int = 32  # numbers that represent the observation before it   (RODE)
    encode_until: int = 50_000  # environment steps on which representations are learned   (RODE)
    encoder_lr: float = 5e-4  # RMSprop   (RODE)
    reward_weight: float = 10.0  # of the predicted reward's error   (RODE)
    basic: int = 0  # SMAC: 6, the first actions, which larger roles have too   (RODE)


class Networks(nn.Module):
    """Bodies and heads for roles and actions; and what the clustering fixed: representations and
    roles.
    """

    z: Float32[Tensor, "R A Z"]  # representations of the actions
    role_z: Float32[Tensor, "R K Z"]  # their means by role
    may: Bool[Tensor, "R K A"]  # the actions of each role
    exists: Bool[Tensor, "R K"]

    def __init__(self, spec: Spec, s: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        runs, a, self.roles = len(seeds), spec.n_actions, max(s.clusters, LEAST)
        share = fixed_sharing(s.sharing, runs, spec.n_agents)
        g = generators([stream(seed, "networks") for seed in seeds])
        self.assignment, self.everyone, self.latent = (
            share.assignment,
            assignment.full(runs, spec.n_agents),
            s.latent,
        )
        self.body, self.role_body = (
            Recurrent(g, share, spec.obs_dim, a, s.hidden) for _ in range(2)
        )
        self.heads = Bank(
            g, 1, s.hidden, self.roles * s.latent
        )  # a linear map of each role, side by side
        self.role_head = MLP(g, 1, [s.hidden, 2 * s.hidden, s.latent])
        self.mixer, self.role_mixer = (
            Mixer(g, spec.n_agents, spec.state_dim, s.mixer, s.hyper) for _ in range(2)
        )
        self.register_buffer("z", torch.zeros(runs, a, s.latent))
        self.register_buffer("role_z", torch.ones(runs, self.roles, s.latent))
        self.register_buffer("may", torch.ones(runs, self.roles, a, dtype=torch.bool))
        self.register_buffer("exists", (torch.arange(self.roles) < LEAST).repeat(runs, 1))

    def action_values(
        self, rows: Tensor, roles: Int64[Tensor, "R B T N"]
    ) -> Float32[Tensor, "R B T N A"]:
        """Of the body's states, by each agent's role's head; the role's own actions are not singled
        out here.
        """
        every = from_rows(self.heads(rows, self.everyone), roles.shape[3]).unflatten(
            -1, (self.roles, -1)
        )
        mine = every.gather(4, roles[..., None, None].expand(*roles.shape, 1, self.latent)).squeeze(
            4
        )
        return (mine[..., None, :] * self.z[:, None, None, None]).sum(-1)

    def role_values(self, states: Float32[Tensor, "R B T N H"]) -> Float32[Tensor, "R B T N K"]:
        query = from_rows(self.role_head(to_rows(states, 1), self.everyone), states.shape[3])
        values = (query[..., None, :] * self.role_z[:, None, None, None]).sum(-1)
        return values.masked_fill(~self.exists[:, None, None, None], -1e9)

    def states(self, obs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Of the actions' body and the roles' body, as rows."""
        last, empty = before(actions), self.body.initial_for(obs)
        body, role_body = self.body.select(self.assignment), self.role_body.select(self.assignment)
        return body(obs, last, empty), role_body(obs, last, empty)


class Effects(nn.Module):
    """Represents actions by what they do: they predict the next observation and the reward."""

    def __init__(self, spec: Spec, s: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        g = generators([stream(seed, "effects") for seed in seeds])
        self.spec, self.everyone = spec, assignment.full(len(seeds), 1)
        self.action = MLP(g, 1, [spec.n_actions, s.hidden, s.latent])
        self.before = MLP(
            g, 1, [spec.obs_dim + spec.n_agents * spec.n_actions, s.hidden, s.state_latent]
        )
        self.after = MLP(g, 1, [s.state_latent + s.latent, s.hidden, spec.obs_dim + 1])

    def represent(self) -> Float32[Tensor, "R A Z"]:
        one_hot = torch.eye(self.spec.n_actions, device=next(self.parameters()).device)
        return self.action(one_hot.expand(len(self.everyone), 1, 1, -1, -1), self.everyone)[:, 0, 0]

    def loss(self, batch: dict[str, Tensor], weight: float) -> Float32[Tensor, "R"]:
        """Norm of the observation's error plus the weighted squared error of the reward."""
        spec, obs = self.spec, batch["obs"]
        did = functional.one_hot(batch["actions"], spec.n_actions).float()
        others = (
            did[:, :, :, None] * (1 - torch.eye(spec.n_agents, device=obs.device))[..., None]
        )  # [R, B, T, N, N, A]
        seen = torch.cat((obs[:, :, :-1], others.flatten(4)), -1).transpose(1, 2).flatten(2, 3)
        z = torch.einsum("rbtna,raz->rtbnz", did, self.represent()).flatten(2, 3)
        known = torch.cat((self.before(seen[:, None], self.everyone), z[:, None]), -1)
        told = from_rows(self.after(known, self.everyone), spec.n_agents)
        error = (told[..., :-1] - obs[:, :, 1:]).square().sum(-1).clamp(min=1e-12).sqrt()
        error = error + weight * (told[..., -1] - batch["team_reward"][..., None]).square()
        each = (error * batch["alive"][:, :, :-1]).mean(-1) * batch["filled"]
        return each.transpose(1, 2).flatten(1).cumsum(1)[:, -1] / batch["filled"].sum((1, 2)).clamp(
            min=1
        )


class Memory(NamedTuple):
    bodies: tuple[SelectedRecurrent, SelectedRecurrent]
    h: tuple[Tensor, Tensor]  # of the actions' body and the roles'
    roles: Int64[Tensor, "R B N"]
    last_action: Int64[Tensor, "R B N"]
    dice: ExplorationNoise | None  # None: greedy
    role_dice: ExplorationNoise | None
    t: int


class Actor:
    """Chooses a role every few steps, and an action of it at each."""

    def __init__(
        self, nets: Networks, spec: Spec, s: Settings, exploration: Exploration, where: device
    ) -> None:
        self.nets, self.spec, self.settings, self.exploration, self.where = (
            nets,
            spec,
            s,
            exploration,
            where,
        )

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Memory:
        nets, (n, actions, *_), horizon = self.nets, self.spec, self.spec.horizon
        bodies = nets.body.select(nets.assignment), nets.role_body.select(nets.assignment)
        h, dice, role_dice = nets.body.initial(copies, n), None, None
        if explore:
            dice = self.exploration.episode_noise(horizon, copies, n, actions)
            role_dice = self.exploration.episode_noise(
                -(-horizon // self.settings.interval), copies, n, nets.roles
            )
        nobody = torch.zeros(h.shape[:3], dtype=torch.int64, device=h.device)
        return Memory(bodies, (h, h), nobody, nobody - 1, dice, role_dice, 0)

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        q, memory = self.think(step.obs.to(self.where), memory)
        run, avail = (
            torch.arange(len(q), device=self.where)[:, None, None],
            step.avail_actions.to(self.where),
        )
        mine = self.nets.may[run, memory.roles] & avail
        mine = torch.where(mine.any(-1, keepdim=True), mine, avail)
        actions = choose(
            q.masked_fill(~mine, -torch.inf), step.avail_actions, memory.dice, memory.t
        )
        choice = Choice(actions, {"roles": memory.roles.cpu()})
        return choice, memory._replace(last_action=actions.to(self.where), t=memory.t + 1)

    def think(self, obs: Tensor, memory: Memory) -> tuple[Float32[Tensor, "R B N A"], Memory]:
        """Values of the actions, and the role that holds from now on."""
        n, last = obs.shape[2], memory.last_action[:, :, None]
        pairs = zip(memory.bodies, memory.h, strict=True)
        rows, role_rows = (body(obs[:, :, None], last, h) for body, h in pairs)
        roles = memory.roles
        if memory.t % self.settings.interval == 0:
            values = self.nets.role_values(from_rows(role_rows, n))[:, :, 0]
            exists = self.nets.exists[:, None, None].expand(values.shape)
            at = memory.t // self.settings.interval
            roles = choose(values, exists, memory.role_dice, at).to(self.where)
        h = from_rows(rows, n)[:, :, 0], from_rows(role_rows, n)[:, :, 0]
        return self.nets.action_values(rows, roles[:, :, None])[:, :, 0], memory._replace(
            h=h, roles=roles
        )


class RODE(OffPolicyLearner):
    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> None:
        _check(settings, spec)
        self.settings: Settings
        super().__init__(spec, settings, seeds, where, Networks(spec, settings, seeds))
        self.effects = Effects(spec, settings, seeds).to(where)
        rmsprop = partial(
            torch.optim.RMSprop, lr=settings.encoder_lr, alpha=settings.alpha, eps=settings.rms_eps
        )
        self.encoder_optimiser = Optimiser(self.effects, rmsprop, settings.clip)
        self.policy = Actor(self.nets, spec, settings, self.exploration, where)
        self.seeds = [stream(seed, "clusters") % 2**32 for seed in seeds]
        self.clustered = torch.zeros(len(seeds), dtype=torch.bool)
        self.blocks = {"roles": torch.zeros(len(seeds), spec.n_agents, dtype=torch.int64)}
        self._note()

    @torch.no_grad()
    def _note(self) -> None:
        """Take over the representations of runs that still learn them."""
        learning = ~self.clustered.to(self.where)
        self.nets.z[learning] = self.effects.represent()[learning]

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        s, n = self.settings, self.spec.n_agents
        due = ~self.clustered & (self.exploration.steps > s.encode_until)
        measures = {"encoder_loss": torch.zeros(active.shape)}  # of runs that no longer learn them
        if not self.clustered.all():
            encoder_loss = self.effects.loss(batch, s.reward_weight)
            self.encoder_optimiser.step(encoder_loss * active * ~self.clustered.to(self.where))
            self._note()
            measures["encoder_loss"] = encoder_loss.detach() * ~self.clustered.to(self.where)
        if due.any():
            self._cluster(due)
        roles = held(batch["roles"], batch["filled"].sum(2), s.interval)
        rows, role_rows = self.nets.states(batch["obs"], batch["actions"])
        q = self.nets.action_values(rows, roles)
        with torch.no_grad():
            rows, role_rows_target = self.target.states(batch["obs"], batch["actions"])
            q_target = self.target.action_values(rows, roles)
        loss, found = self.td_loss(q, q_target, batch)
        states = from_rows(role_rows, n), from_rows(role_rows_target, n)
        values, mixers = (
            (self.nets.role_values, self.target.role_values),
            (self.nets.role_mixer, self.target.role_mixer),
        )
        role_loss = self.period_loss(values, states, batch["roles"], mixers, s.interval, batch)
        norm = self.optimiser.step((loss + role_loss) * active)
        return measures | found | {"role_loss": role_loss.detach(), "gradient_norm": norm}

    def _cluster(self, due: Bool[Tensor, "R"]) -> None:
        """Fix roles of these runs, renew their target networks, and let epsilon start again."""
        for r in due.nonzero().flatten().tolist():
            z = self.nets.z[r]
            starts: Any = 10
            found = KMeans(
                min(self.settings.clusters, len(z)), n_init=starts, random_state=self.seeds[r]
            )
            spaces = role_actions(
                found.fit_predict(z.double().cpu().numpy()).tolist(), self.settings.basic
            )
            self.nets.exists[r] = torch.arange(self.nets.roles, device=z.device) < len(spaces)
            for k, actions in enumerate(spaces):
                self.nets.may[r, k] = False
                self.nets.may[r, k, actions] = True
                self.nets.role_z[r, k] = z[actions].mean(0)
            self.exploration.since[r] = self.exploration.steps[r]
            for slow, fast in zip(
                self.target.state_dict().values(), self.nets.state_dict().values(), strict=True
            ):
                slow[r] = fast[r]
        self.clustered |= due

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """The softmax of each agent's values, its roles chosen on the way as in a test."""
        obs, actions = obs.to(self.where), actions.to(self.where)
        memory, found = self.policy.initial(obs.shape[1], False), []
        for t in range(obs.shape[2]):
            q, memory = self.policy.think(obs[:, :, t], memory)
            found.append(q.softmax(-1))
            memory = memory._replace(last_action=actions[:, :, t], t=t + 1)
        return torch.stack(found, 2)

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        return super().state_dict(replay) | {"clustered": self.clustered}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.clustered = state["clustered"]


def role_actions(labels: Sequence[int], basic: int) -> list[list[int]]:
    """The actions of each role: a cluster and action 0, no cluster being action 0 alone; at least
    three roles.

    With SMAC's `basic` actions (0 no-op, 1 stop), a cluster needs two others; with three it has all
    basic ones.

    >>> role_actions([0, 1, 1, 2, 2, 2], 0)
    [[0, 1, 2], [0, 3, 4, 5], [0, 1, 2]]
    """
    spaces = []
    for label in sorted(set(labels)):
        cluster = [action for action, of in enumerate(labels) if of == label]
        others = [action for action in cluster if action > (1 if basic else 0)]
        if len(others) >= (2 if basic else 1):
            spaces.append(sorted({0, *cluster, *(range(basic) if len(others) > 2 else ())}))
    spaces = spaces or [list(range(len(labels)))]
    return spaces + [spaces[i % len(spaces)] for i in range(LEAST - len(spaces))]


def _check(s: Settings, spec: Spec) -> None:
    if not 2 <= s.clusters <= spec.n_actions:
        raise UserError(
            f"RODE makes 2 to {spec.n_actions} clusters of {spec.n_actions} actions, not {s.clusters}."
        )
    if not 1 <= s.interval < spec.horizon:
        raise UserError(
            f"RODE changes roles within an episode: 1 <= interval < {spec.horizon} (its horizon), but is {s.interval}."
        )
    if not 0 <= s.basic <= spec.n_actions:
        raise UserError(
            f"RODE's basic actions are the first of {spec.n_actions}, but there are to be {s.basic}."
        )
    if s.sharing == "none":
        raise UserError(
            "RODE shares by roles: sharing says whether agents show an id, id or full, not none."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> RODE:
    return RODE(spec, settings, seeds, where)
