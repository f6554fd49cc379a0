"""PPO's settings, and what must fit among them: what five code families do is a value of each.

Sources: the public code of JaxMARL (Mava and PureJaxRL are alike), on-policy (by the authors of
MAPPO), EPyMARL and BenchMARL.
"""

from dataclasses import dataclass
from typing import Literal

from partage.errors import UserError
from partage.nn.networks import FixedSharing, fixed_sharing
from partage.nn.per_run import Each, of_runs
from partage.rl.advantages import Normalise
from partage.rl.running import RewardScale
from partage.sharing import assignment
from partage.sims.contract import Spec

Sharing = Literal["full", "id", "none", "type", "front"]
CriticSharing = Literal["same", "full", "id", "none", "type"]
MOST_LAYERS = 5


@dataclass(frozen=True)
class Settings:
    """The settings of IPPO and MAPPO."""

    # full, id (a one-hot id in the input), none; type: a set for each type that the task names;
    # front: the actor's body alone, as MDPS begins
    sharing: Sharing = "full"  # JaxMARL
    # obs: IPPO; state: MAPPO, all of a run's critics see the environment's state
    critic: Literal["obs", "state"] = "obs"
    # same: as the actor's (its head's); id: one set, told who asks
    critic_sharing: CriticSharing = "same"  # BenchMARL alone has it apart: share_param_critic
    # none: layers alone; both: a GRU in actor and critic (JaxMARL, on-policy); actor: in the
    # actor alone (EPyMARL)
    memory: Literal["none", "actor", "both"] = "none"
    # segments: of `segment` transitions; episodes: whole ones, as a memory takes   (EPyMARL)
    experience: Literal["segments", "episodes"] = "segments"  # [P7]
    copies: int = 16  # environment copies   (JaxMARL; EPyMARL, BenchMARL: 10)
    segment: int = 128  # transitions of each copy in an update   (JaxMARL; on-policy: 25, 400)
    hidden: int = 64  # units a layer, and of a memory   (JaxMARL on MPE; SMAX, EPyMARL: 128)
    actor_layers: int = 3  # JaxMARL, the memory not counted; MPD §3.2 has 4
    critic_layers: int = 3  # likewise
    # torch: as torch.nn.Linear draws them   (EPyMARL, BenchMARL)
    init: Literal["orthogonal", "torch"] = "orthogonal"  # JaxMARL, on-policy
    lr: Each[float] = 2.5e-4  # Adam   (JaxMARL; on-policy 5e-4, EPyMARL 3e-4, BenchMARL 5e-5)
    anneal: int = 0  # updates over which it falls to nearly 0 (JaxMARL: all); 0: constant
    adam_eps: float = 1e-5  # Adam's epsilon   (JaxMARL, on-policy; EPyMARL 1e-8, BenchMARL 1e-6)
    clip_norm: Each[float] = (
        0.5  # of a run's gradient   (JaxMARL; on-policy, EPyMARL 10, BenchMARL 5)
    )
    # one: of actor and critic together; each: of each by itself   (all but JaxMARL's IPPO)
    norms: Literal["one", "each"] = "one"
    gamma: Each[float] = 0.99  # discount   (all; BenchMARL on VMAS 0.9)
    # gae; n-step: `n_steps` rewards and a value, less the value   (EPyMARL)
    advantage: Literal["gae", "n-step"] = "gae"
    gae_lambda: Each[float] = 0.95  # lambda of GAE   (JaxMARL, on-policy; BenchMARL 0.9)
    n_steps: int = 5  # EPyMARL
    # over whom advantages get mean 0 and deviation 1: all that is learned from, before the epochs
    # (on-policy); a minibatch (JaxMARL); each agent's own (peers that do not share); nobody
    normalise: Normalise = "batch"  # [P2]
    # raw; scaled: over the deviation of discounted rewards (PureJaxRL); standardised   (EPyMARL)
    reward_scale: RewardScale = "raw"
    epochs: int = 4  # JaxMARL, EPyMARL; on-policy 5 to 15, BenchMARL 45
    # equal parts of an epoch: drawn by instant, of whole episodes by episode; all agents together
    minibatches: int = 4  # JaxMARL; on-policy, EPyMARL 1
    clip: Each[float] = 0.2  # of the ratio of probabilities   (all; SMAX 0.05)
    entropy: Each[float] = (
        0.01  # weight of the bonus, a mean over agents   (JaxMARL; EPyMARL 0.001)
    )
    value: Each[float] = 0.5  # weight of the value loss, itself a half   (JaxMARL; on-policy 1)
    # how far values move at once, in units of `value_norm`   (JaxMARL, on-policy); 0: at will
    value_clip: float = 0.2  # [P3]
    value_loss: Literal["squared", "huber"] = "squared"  # JaxMARL; huber: on-policy, from 10 on
    # critics learn returns less their running mean, over their deviation   (on-policy)
    value_norm: bool = True
    value_norm_decay: float = 0.99999  # of what was seen before that stays   (on-policy)
    # out: the dead do not count in the policy's loss, the entropy and the normalisation, but in
    # the values', which those before them bootstrap from (on-policy); in: they do (JaxMARL)
    dead: Literal["out", "in"] = "out"  # [P5]


def check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where the settings do not fit each other or the task."""
    if s.memory != "none" and s.experience != "episodes":
        raise UserError(
            f"PPO with a memory ({s.memory}) learns from whole episodes: experience is episodes, "
            f"not {s.experience!r}."
        )
    if s.critic == "state" and spec.state_dim < 1:
        raise UserError(
            "PPO's critics see the environment's state (critic is state), but this task has none "
            "(state_dim is 0): critic is obs."
        )
    whole = s.experience == "episodes"
    drawn = s.copies if whole else s.copies * s.segment
    if drawn % s.minibatches:
        what = "episodes (copies)" if whole else f"instants (copies {s.copies} x {s.segment})"
        raise UserError(
            f"PPO draws minibatches of equal size: {drawn} {what} do not divide into "
            f"{s.minibatches} minibatches."
        )
    for name in ("clip", "clip_norm"):
        for value in of_runs(getattr(s, name), 1):
            if value <= 0:
                raise UserError(f"PPO's {name} is greater than 0, but is {value}.")
    for value in of_runs(s.gae_lambda, 1):
        if value > 1:
            raise UserError(f"PPO's gae_lambda is 0 to 1, but is {value}.")
    if s.value_norm_decay >= 1:
        raise UserError(
            f"PPO's value_norm_decay is below 1, or it would learn no mean, but is "
            f"{s.value_norm_decay}."
        )
    for name in ("actor_layers", "critic_layers"):
        if not 2 <= getattr(s, name) <= MOST_LAYERS:
            raise UserError(f"PPO's {name} is 2 to {MOST_LAYERS}, but is {getattr(s, name)}.")
    for kind in (s.sharing, s.critic_sharing):
        if kind == "type":
            sharing_of(kind, spec, 1)


def sharing_of(kind: Sharing | CriticSharing, spec: Spec, runs: int) -> FixedSharing:
    """Return the sharing of this name on a task.

    Raises `UserError` for sharing by type on a task that names no types.
    """
    if kind == "type":
        if not spec.types:
            raise UserError(
                "Sharing by type gives agents of one type one set, but this task names no types of "
                "its agents: share full, id or none."
            )
        index = assignment.by(spec.types, runs)
        return FixedSharing(len(set(spec.types)), 0, index)
    assert kind in ("full", "id", "none")
    return fixed_sharing(kind, runs, spec.n_agents)
