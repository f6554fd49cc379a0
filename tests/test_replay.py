"""The replay gives back exactly what was put in, and holds no more than that."""

import io

import pytest
import torch
from torch import Tensor

from partage import envs, learners
from partage.rl.noise import generators
from partage.rl.packing import Episode, Packing, Ring, bytes_per_episode
from partage.rl.replay import Replay
from partage.rl.rollout import Rollout, collect_episodes
from partage.sims.buffers import INSTANT_FIELDS
from partage.sims.contract import Spec

N, A, OBS, STATE = 3, 11, 4, 6  # 11 actions: a mask of two bytes
SPEC = Spec(N, A, OBS, STATE, horizon=200, common_reward=False)


def played(seed: int, lengths: list[list[int]], time: int | None = None) -> Rollout:
    """Make up episodes of these lengths ``[R][B]``, with values behind their ends too."""
    g, long = torch.Generator().manual_seed(seed), torch.tensor(lengths)
    shape = (*long.shape, time or int(long.max()))
    one = (*shape[:2], shape[2] + 1)
    filled = torch.arange(shape[2]) < long[..., None]

    def bits(*size: int) -> Tensor:
        return torch.rand(size, generator=g) < 0.5

    return Rollout(
        obs=torch.randn(*one, N, OBS, generator=g) * 1e-3 + 1 / 3,
        state=torch.randn(*one, STATE, generator=g),
        avail_actions=bits(*one, N, A),
        alive=bits(*one, N),
        actions=torch.randint(A, (*shape, N), generator=g),
        reward=torch.randn(*shape, N, generator=g),
        terminated=torch.arange(shape[2]) == long[..., None] - 1,
        truncated=torch.zeros_like(filled),
        filled=filled,
        score=torch.randn(*shape, generator=g),
        feature=torch.zeros(*shape),
        notes={
            "role": torch.randint(256, (*shape, N), generator=g),
            "code": torch.randn(*shape, 2, generator=g),
        },
    )


def add(replay: Replay, rollout: Rollout) -> dict[str, Tensor]:
    """Store it; what should come back, field by field."""
    extra = {"team_reward": rollout.reward.sum(-1)}
    replay.add(rollout, extra)
    names = (*INSTANT_FIELDS, "actions", "terminated")
    return {name: getattr(rollout, name) for name in names} | rollout.notes | extra


LENGTHS = [[4, 1, 7], [2, 7, 3]]


def with_zeros(rollout: Rollout, share: float) -> Rollout:
    """What is seen, with about this share of it zero; some zeros are negative."""
    noise = torch.rand(rollout.obs.shape, generator=torch.Generator().manual_seed(3))
    obs = rollout.obs.masked_fill(noise < share, 0.0)
    return rollout._replace(obs=torch.where(noise < share / 4, -obs, obs))


def test_what_is_mostly_zeros_takes_the_room_of_the_rest_and_comes_back_bit_for_bit() -> None:
    rollout = with_zeros(played(0, [[4, 9]]), 0.9)
    sparse, dense = Replay(1, 10, SPEC), Replay(1, 10, SPEC)
    put = add(sparse, rollout)
    add(dense, played(0, [[4, 9]]))
    assert (
        sparse.nbytes() < dense.nbytes()
        and sparse.packing.fields["obs"].kind == "sparse"
        and dense.packing.fields["obs"].kind == "floats"
    )
    other = Replay(1, 10, SPEC)
    other.load_state_dict(sparse.state_dict())
    for replay in (sparse, other):
        got = replay.sample(2, generators([1]))
        lengths = got["filled"][0].sum(1).tolist()
        for b, length in enumerate(lengths):
            came = put["obs"][0, [4, 9].index(length), : length + 1]
            assert torch.equal(
                got["obs"][0, b, : length + 1].view(torch.int32), came.view(torch.int32)
            )
            assert not got["obs"][0, b, length + 1 :].any()


def test_a_field_stays_sparse_where_a_later_episode_is_not() -> None:
    replay = Replay(1, 10, SPEC)
    add(replay, with_zeros(played(0, [[3]]), 0.9))
    put = add(replay, played(1, [[5]]))
    got = replay.sample(2, generators([1]))
    b = got["filled"][0].sum(1).tolist().index(5)
    assert torch.equal(got["obs"][0, b], put["obs"][0, 0])


def test_what_comes_out_is_what_went_in_each_episode_once() -> None:
    replay = Replay(2, 10, SPEC)
    put = add(replay, played(0, LENGTHS, time=9))
    got = replay.sample(3, generators([1, 2]))
    assert set(got) == set(put) | {"filled"}
    for r in range(2):
        seen = []
        for b in range(3):
            length = int(got["filled"][r, b].sum())
            origin = LENGTHS[r].index(length)
            seen.append(origin)
            for name, x in put.items():
                until = length + (name in INSTANT_FIELDS)
                found, expected = got[name][r, b], x[r, origin]
                assert found.dtype == expected.dtype, name
                assert torch.equal(found[:until], expected[:until]), name
                assert not found[until:].any(), name
        assert sorted(seen) == [0, 1, 2]


def test_a_sample_is_padded_to_its_longest_episode_and_filled_says_so() -> None:
    replay = Replay(2, 10, SPEC)
    add(replay, played(0, LENGTHS, time=9))
    got = replay.sample(3, generators([1, 2]))
    assert got["filled"].shape == (2, 3, 7) and got["actions"].shape == (2, 3, 7, N)
    assert got["obs"].shape == (2, 3, 8, N, OBS) and got["avail_actions"].shape == (2, 3, 8, N, A)
    for run, lengths in zip(got["filled"], LENGTHS, strict=True):
        assert sorted(run.sum(1).tolist()) == sorted(lengths)
        assert all(
            torch.equal(mask, mask.sort(descending=True).values) for mask in run
        )  # steps first, padding after


def test_a_run_s_sample_does_not_depend_on_its_pack() -> None:
    alone, packed = Replay(1, 10, SPEC), Replay(2, 10, SPEC)
    rollout = played(0, LENGTHS)
    add(packed, rollout)
    fields = {f: x[1:] for f, x in rollout._asdict().items() if isinstance(x, Tensor)}
    add(alone, rollout._replace(**fields, notes={name: x[1:] for name, x in rollout.notes.items()}))
    few, many = alone.sample(2, generators([5])), packed.sample(2, generators([4, 5]))
    for name, x in few.items():
        assert torch.equal(many[name][1, :, : x.shape[2]], x[0]), name
        assert not many[name][1, :, x.shape[2] :].any(), name


def test_beyond_its_capacity_the_oldest_episode_goes() -> None:
    replay, put = Replay(1, 3, SPEC), []
    for seed in range(5):
        assert len(replay) == min(seed, 3)
        put.append(add(replay, played(seed, [[2]]))["team_reward"][0, 0].tolist())
    got = replay.sample(3, generators([0]))["team_reward"][0].tolist()
    assert sorted(got) == sorted(put[2:])


def test_idle_copies_leave_nothing_and_the_length_is_that_of_the_run_with_fewest() -> None:
    replay = Replay(2, 10, SPEC)
    add(replay, played(0, [[3, 0], [2, 5]]))
    assert [len(queue) for queue in replay.queues] == [1, 2] and len(replay) == 1


def test_memory_grows_with_what_was_seen_and_not_with_the_horizon() -> None:
    replay = Replay(1, 1000, SPEC)
    add(replay, played(0, [[3, 5]], time=200))
    # an instant: floats; masks as bits, which are 33 and 3
    each = 4 * (N * OBS + STATE) + 5 + 1
    step = N + 1 + N + 4 * 2 + 4  # a transition: actions, terminated, roles, the code, the reward
    assert replay.nbytes() == (4 + 6) * each + (3 + 5) * step
    full = Replay(1, 1000, SPEC)
    add(full, played(0, [[200, 200]]))
    assert full.nbytes() > 40 * replay.nbytes()


def test_going_on_from_a_saved_replay_samples_and_evicts_as_if_nothing_had_happened() -> None:
    replay, other = Replay(2, 5, SPEC), Replay(2, 5, SPEC)
    add(replay, played(0, LENGTHS))
    add(other, played(7, LENGTHS))  # replaced by what is loaded
    file = io.BytesIO()
    torch.save(replay.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    noise, same = generators([1, 2]), generators([1, 2])
    for seed in range(4):
        left, right = replay.sample(3, noise), other.sample(3, same)
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
        for one in (replay, other):
            add(one, played(seed + 1, [[1, 2], [6, 1]]))
    assert replay.nbytes() == other.nbytes()


def test_a_replay_that_is_empty_in_some_runs_can_be_saved() -> None:
    replay, other = Replay(2, 5, SPEC), Replay(2, 5, SPEC)
    add(replay, played(0, [[3], [0]]))
    other.load_state_dict(replay.state_dict())
    assert [len(queue) for queue in other.queues] == [1, 0]


@pytest.mark.parametrize("value", [-1, 256])
def test_a_number_that_does_not_fit_a_byte_is_refused(value: int) -> None:
    rollout = played(0, [[3]])
    rollout.notes["role"][0, 0, 1, 2] = value
    with pytest.raises(
        ValueError, match=f"role is stored in a byte but holds values from .*{value}"
    ):
        add(Replay(1, 5, SPEC), rollout)


def test_a_run_that_has_fewer_episodes_than_asked_for_gives_empty_ones_besides() -> None:
    replay = Replay(2, 10, SPEC)
    add(replay, played(0, [[3, 0], [2, 5]]))
    got = replay.sample(2, generators([0, 1]))
    assert got["filled"].sum(2).tolist()[0] == [3, 0] and sorted(
        got["filled"].sum(2).tolist()[1]
    ) == [2, 5]
    assert not any(x[0, 1].any() for x in got.values())


def test_a_state_that_is_all_observations_is_kept_once_and_comes_back_bit_for_bit() -> None:
    rollout = played(0, LENGTHS)
    rollout = rollout._replace(state=rollout.obs.flatten(-2))
    twice, once = Replay(2, 10, SPEC), Replay(2, 10, SPEC._replace(state_is_obs=True))
    for replay in (twice, once):
        add(replay, rollout)
    saved = twice.nbytes() - once.nbytes()
    assert saved == sum(4 * (length + 1) * N * OBS for run in LENGTHS for length in run)
    expected, found = (replay.sample(3, generators([1, 2])) for replay in (twice, once))
    assert expected.keys() == found.keys()
    assert all(torch.equal(x, found[name]) for name, x in expected.items())


@pytest.mark.parametrize("task", ["lbf/5x5-2p-1f-v3", "mpe/15a_3c", "roll_call/4x4-8", "smac/3m"])
def test_what_an_episode_takes_is_known_before_one_is_played(task: str) -> None:
    env = envs.make(task, [0], 2)
    made = learners.make("qmix", env.spec, {"copies": 2, "batch": 9}, [0])
    replay: Replay = made.replay  # type: ignore[attr-defined]
    made.learn(collect_episodes(env, made.policy, torch.ones(1, dtype=torch.bool), True))
    sparse = [name for name, x in replay.packing.fields.items() if x.kind == "sparse"]
    kept = values = 0
    for steps, data in replay.queues[0]:
        for part in replay.packing.parts(data, steps).values():
            values += 0 if part.values is None else 4 * len(part.values)
        kept += bytes_per_episode(env.spec, steps, sparse=sparse, seen=0)
    assert kept + values == replay.nbytes()
    env.close()


@pytest.mark.parametrize("cut", [slice(0, -1), slice(4, None), slice(0, 0)])
def test_bytes_that_are_no_episode_are_refused(cut: slice) -> None:
    replay = Replay(1, 10, SPEC)
    add(replay, with_zeros(played(0, [[4, 9]]), 0.9))
    (ring,), fields = replay.rings(), replay.packing.state_dict()
    steps, data = ring.episodes[0]
    for wrong in (Episode(steps, data[cut]), Episode(steps + 1, data), Episode(-1, data)):
        with pytest.raises(ValueError, match="episode"):
            Replay(1, 10, SPEC).load(fields, [Ring(0, [wrong])])


def an_episode(**changes: Tensor) -> tuple[Packing, Episode]:
    """One episode whose fields are those of the task, but for what is to be otherwise."""
    replay = Replay(1, 10, SPEC)
    put = {name: x[0, 0].numpy() for name, x in add(replay, played(0, [[4]])).items()}
    put |= {name: x.numpy() for name, x in changes.items()}
    packing = Packing()
    return packing, Episode(4, packing.pack(put, 4))


@pytest.mark.parametrize(
    "changes",
    [
        {"obs": torch.ones(5, N, OBS + 1)},
        {"obs": torch.ones(5, N, OBS, dtype=torch.int64)},
        {"actions": torch.full((4, N), A)},
        {"team_reward": torch.ones(4, N)},
    ],
)
def test_episodes_of_another_task_are_refused(changes: dict[str, Tensor]) -> None:
    packing, episode = an_episode()
    Replay(1, 10, SPEC).load(packing.state_dict(), [Ring(0, [episode])])
    packing, episode = an_episode(**changes)
    with pytest.raises(ValueError, match=next(iter(changes)).removesuffix("s")):
        Replay(1, 10, SPEC).load(packing.state_dict(), [Ring(0, [episode])])
    with pytest.raises(ValueError, match="of an episode is None"):
        Replay(1, 10, SPEC).load({}, [Ring(0, [Episode(1, b"")])])
