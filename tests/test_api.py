"""The Python API: loaded lazily, trains what the workflow would train, plays what was trained."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from running import lay, recipe
from small import ROOT

import partage
from partage.config import custom, plan
from partage.config.recipe import Recipe, run_dir, write_recipes
from partage.config.request import Request
from partage.errors import UserError
from partage.rl.rollout import collect_episodes
from partage.runs import evaluate, train

pytestmark = pytest.mark.xdist_group("api")  # what the tests share is made once

HEAVY = ("torch", "numba", "pandas", "numpy", "matplotlib", "tqdm")


def python(program: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_importing_partage_loads_nothing_heavy_and_takes_a_moment() -> None:
    began = time.perf_counter()
    loaded = f"sorted(set({HEAVY}) & set(sys.modules))"
    assert python(f"import sys, partage; dir(partage); print({loaded})") == "[]"
    assert time.perf_counter() - began < 5  # of the whole interpreter, on a busy machine
    took = python(
        "import time; t = time.perf_counter(); import partage; print(time.perf_counter() - t)"
    )
    assert float(took) < 0.5  # 1 ms on a machine that is not busy


def test_runs_are_loaded_and_compared_without_torch() -> None:
    program = (
        "import sys, partage; "
        "runs = partage.load_runs('results/published/former/critics-apart/runs/fps'); "
        "partage.compare(runs[:1], metric='train_return'); print('torch' in sys.modules, len(runs))"
    )
    loaded, count = python(f"import os; os.chdir({str(ROOT)!r}); {program}").split()
    assert loaded == "False" and int(count) >= 6


def test_every_public_name_is_there_and_explained_and_no_other() -> None:
    assert set(partage.__all__) == {*partage.HOMES, "__version__"} <= set(dir(partage))
    explained = (ROOT / "docs/python.md").read_text()
    for name in partage.HOMES:
        assert getattr(partage, name).__doc__
        assert f"`partage.{name}" in explained or f"### `{name}" in explained, name
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = partage.trian  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> partage.Run:
    """A QMIX run of two seeds, trained for a moment: its networks have a memory."""
    folder = tmp_path_factory.mktemp("runs") / "qmix"
    train.run(lay(folder, recipe("qmix")))
    return partage.Run(folder)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> partage.Run:
    """An MDPS run of two seeds, whose sharing moved."""
    folder = tmp_path_factory.mktemp("runs") / "mdps"
    train.run(lay(folder, recipe("mdps")))
    return partage.Run(folder)


def test_train_makes_the_workflow_s_own_recipe_and_goes_on_with_a_run_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    made = partage.train("fps", "mpe/15a_3c", seeds=[1, 0], results="some results", steps=400)
    assert "100 %" in capsys.readouterr().out  # progress is seen
    assert torch.get_num_threads() == threads
    assert made.folder == Path("some results/smoke/runs/fps+steps=400/mpe/15a_3c/0-1")
    before = (made.folder / "record.json").read_bytes()
    again = partage.train("fps", "mpe/15a_3c", seeds=range(2), results="some results", steps=400)
    assert (made.folder / "record.json").read_bytes() == before
    pd.testing.assert_frame_equal(again.curve, made.curve)
    assert repr(again).startswith("Run(fps+steps=400 on mpe/15a_3c, seeds [0, 1], ")
    assert [one.folder for one in partage.load_runs("some results")] == [made.folder]


@pytest.mark.parametrize("scale", ["smoke", "lab", "paper"])
def test_without_changes_a_recipe_is_the_workflow_s_byte_for_byte(
    tmp_path: Path, scale: str
) -> None:
    sheets, request = plan.load(), Request(scale=scale)
    for algorithm, task in (("mdps", "mpe/15a_3c"), ("bdps", "lbf/15x15-4p-5f-v2")):
        (standard,) = sheets.recipes_of(algorithm, task, request)
        ours = custom.custom_recipe(
            sheets,
            algorithm,
            task,
            request,
            standard.seeds[::-1],
            steps=standard.steps,
            settings={"copies": standard.settings["copies"]},
        )
        assert ours.text() == standard.text()
        assert custom.custom_recipe(sheets, algorithm, task, request).text() == standard.text()
        write_recipes(tmp_path, [ours])
        assert write_recipes(tmp_path, [standard]) == []  # the workflow takes it as its own


def refusals(calls: list[str]) -> list[str]:
    """Return what each call refuses, where no type checker of the tests stands before it."""
    program = "import json, numpy as np, partage\nsaid = []"
    for call in calls:
        program += f"\ntry:\n  {call}\n  said.append('')"
        program += "\nexcept partage.UserError as error:\n  said.append(str(error))"
    return json.loads(python(program + "\nprint(json.dumps(said))"))


def changed(settings: dict, **more) -> Recipe:
    sheets = plan.load()
    return custom.custom_recipe(sheets, "mdps", "mpe/15a_3c", Request(), settings=settings, **more)


def test_changed_settings_are_in_the_recipe_and_in_the_run_s_folder(tmp_path: Path) -> None:
    one = changed({"fuse": np.float64(0.5), "period": 50, "compare": True})
    assert one.settings["fuse"] == 0.5 and type(one.settings["fuse"]) is float
    assert one.algorithm == "mdps+compare=true+fuse=0.5+period=50" and one.learner == "mdps"
    assert run_dir(tmp_path, one) != run_dir(tmp_path, changed({}))
    assert Recipe.load(lay(tmp_path, one)) == one
    assert changed({"fuse": 1}).algorithm == "mdps"  # it is 1.0 already
    assert changed({}, steps=100).log_every == 100


def test_odd_and_long_changes_have_a_folder_that_every_shell_takes() -> None:
    odd = custom.name_with_changes("mdps", {"name": "a/b; rm *", "other": "é"})
    long = custom.name_with_changes("mdps", {f"setting_{n}": n for n in range(20)})
    large = custom.name_with_changes("mdps", {"lr": 1e20})
    assert len({odd, long, large}) == 3
    for name in (odd, long, large):
        assert custom.WORD.fullmatch(name.replace("+", "").replace("=", "")) and len(name) < 40
    sheets = plan.load()
    ours = custom.custom_recipe(sheets, "fps", "mpe/15a_3c", Request(), seeds=[3, 0])
    assert run_dir(Path(), ours).name == "0+3"  # not 0-3, which is four seeds


REFUSED = {
    "'mpds', 'mpe/15a_3c'": "Unknown algorithm 'mpds'.*did you mean 'mdps'",
    "'mdps', 'mpe/15a_3'": "Unknown task",
    "'mdps', 'mpe/15a_3c', scale='papr'": "Unknown scale 'papr'.*did you mean 'paper'",
    "'mdps', 'mpe/15a_3c', engine='fast'": "Unknown engine 'fast'",
    "'mdps', 'mpe/15a_3c', fues=0.5": "Unknown setting .*'fues'.*did you mean 'fuse'",
    "'mdps', 'mpe/15a_3c', fuse='near'": "'fuse' takes a number from 0 on, but is 'near'",
    "'mdps', 'mpe/15a_3c', fuse=[1, 2]": "'fuse' takes a number from 0 on",
    "'mdps', 'mpe/15a_3c', rule='literall'": "takes one of 'steady', 'backs-divide'",
    "'mdps', 'mpe/15a_3c', seeds=[]": "seeds are different whole numbers",
    "'mdps', 'mpe/15a_3c', seeds=[0, 0]": "seeds are different whole numbers",
    "'mdps', 'mpe/15a_3c', seeds=[-1]": "seeds are different whole numbers from 0 on",
    "'mdps', 'mpe/15a_3c', seeds=['0']": "seeds is a list of whole numbers",
    "'mdps', 'mpe/15a_3c', seeds=3": "seeds is a list of whole numbers, but is 3",
    "'mdps', 'mpe/15a_3c', steps=0": "steps is at least 1",
    "'mdps', 'mpe/15a_3c', steps=1.5": "'steps' should be a whole number",
    "'mdps', 'mpe/15a_3c', device='tpu'": "Unknown device 'tpu'",
    "'mdps', 'mpe/15a_3c', results=3": "results is a folder, but is 3",
}


def test_what_train_cannot_do_is_one_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    where = f"results={str(tmp_path)!r}"
    calls = [
        f"partage.train({given})" if "results" in given else f"partage.train({given}, {where})"
        for given in REFUSED
    ]
    for said, (given, expected) in zip(refusals(calls), REFUSED.items(), strict=True):
        assert re.search(expected, said), f"{given}: {said}"
        assert "\n" not in said
    assert not list(tmp_path.rglob("record.json"))


def test_an_imported_algorithm_is_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    sheets = plan.load()
    theirs = sheets.variants["qmix"]._replace(name="theirs", learner="imported", layers=())
    sheets.variants["theirs"] = theirs
    monkeypatch.setattr(plan, "load", lambda: sheets)
    with pytest.raises(UserError, match=r"not trained here but imported.*partage import SOURCE"):
        partage.train("theirs", "mpe/15a_3c")


def test_settings_are_read_as_toml_writes_them_or_as_words() -> None:
    read = custom.read_settings(["fuse=5e-1", "period=20", "compare=true", "sharing=none"])
    assert read == {"fuse": 0.5, "period": 20, "compare": True, "sharing": "none"}
    assert custom.read_settings(["x=a=b", "y=[1]"]) == {"x": "a=b", "y": "[1]"}
    for wrong in (["fuse"], ["=1"], ["fuse="]):
        with pytest.raises(UserError, match="written name=value"):
            custom.read_settings(wrong)
    with pytest.raises(UserError, match="given twice"):
        custom.read_settings(["fuse=1", "fuse=2"])


def test_no_setting_has_the_name_of_an_argument_of_train() -> None:
    arguments = set(partage.train.__annotations__) - {"settings", "return"}
    for fields in plan.load().learners.values():
        assert not arguments & fields.keys()


def test_sharing_has_a_row_for_each_partition(shared: partage.Run) -> None:
    table = shared.sharing()
    assert list(table.columns[:5]) == ["seed", "block", "env_steps", "updates", "agent_0"]
    first = table[(table["updates"] == 0) & (table["block"] == "front")]
    assert first["seed"].tolist() == [0, 1] and not first.iloc[:, 4:].to_numpy().any()
    rows = shared.curve[shared.curve["metric"].str.startswith("sharing/")]
    assert len(table) * 15 == len(rows)
    last = table.query("seed == 1 and block == 'back'").iloc[-1]
    agent = rows[(rows["seed"] == 1) & (rows["metric"] == "sharing/back/14")]
    assert last["agent_14"] == agent["value"].iloc[-1]


def test_distances_of_a_run_are_those_of_its_probabilities(run: partage.Run) -> None:
    """The same samples and seeds give the same numbers, through arrays as through the run."""
    of_run = run.policy_distance(episodes=32)
    _, policies, played = evaluate.play(run.folder, "distance", 32, explore=True)
    obs, actions = played.obs[:, :, :-1], played.actions
    agents = actions.shape[-1]
    asked = []
    for m in range(agents):  # each agent along everybody's column
        columns = (x[:, :, :, m : m + 1].expand_as(x) for x in (obs, actions))
        asked.append(policies.probabilities(*columns))
    everyone = torch.stack(asked, 3).flatten(1, 3)  # [R, S, whose policy, A]
    own = torch.diagonal(torch.stack(asked, 3), dim1=3, dim2=4).transpose(-1, -2)
    among = own * played.avail_actions[:, :, :-1]
    target = (among / among.sum(-1, keepdim=True)).flatten(1, 3)
    valid = (played.alive[:, :, :-1] & played.filled[..., None]).flatten(1, 3)
    for r, seed in enumerate(run.recipe.seeds):
        of_arrays = partage.policy_distance(
            everyone[r].transpose(0, 1).numpy(),
            obs.flatten(1, 3)[r].numpy(),
            valid=valid[r].numpy(),
            target=target[r].numpy(),
            seed=seed,
        )
        np.testing.assert_allclose(of_arrays, of_run[r], rtol=0, atol=0)
    assert of_run.shape == (2, agents, agents) and (of_run[:, 0, 1] > 0).all()
    with pytest.raises(UserError, match="Unknown distance 'cosine'"):
        run.policy_distance(kind="cosine")
    with pytest.raises(UserError, match="episodes is at least 1, but is 0"):
        run.policy_distance(episodes=0)


def test_a_policy_plays_as_the_run_s_own_evaluation_does(run: partage.Run) -> None:
    spec, learner = evaluate.load_policies(run.folder, run.recipe)
    task, options = run.recipe.task, run.recipe.options
    theirs = partage.make_env(task, seeds=[7, 7], copies=3, **options)
    played = collect_episodes(theirs, learner.policy, torch.ones(2, dtype=torch.bool), False)
    env, policy = partage.make_env(task, seeds=[7], copies=3, **options), run.policy(seed=1)
    assert policy.spec == spec == env.spec
    step = env.reset()
    for t in range(played.filled.shape[2]):
        actions = policy(step)
        assert actions.shape == (1, 3, spec.n_agents)
        live = played.filled[1, :, t]
        assert torch.equal(actions[0][live], played.actions[1, :, t][live])
        step = env.step(actions)


def test_a_policy_s_memory_starts_anew_in_each_copy_whose_episode_does(run: partage.Run) -> None:
    """Copies that are started one by one act as each would alone."""
    task, options = run.recipe.task, run.recipe.options
    env, policy = partage.make_env(task, seeds=[3], copies=3, **options), run.policy(seed=0)
    alone = [run.policy(seed=0) for _ in range(3)]
    step, begun = env.reset(), 0
    for t in range(60):
        actions = policy(step)
        for b in range(3):
            one = type(step)(*(x[:, b : b + 1].clone() for x in step))
            if int(one.clock) == 0:
                alone[b] = run.policy(seed=0)  # remembers nothing
            assert torch.equal(alone[b](one), actions[:, b : b + 1])
        step = env.step(actions)
        where = step.ended.clone()
        where[0, t % 3] |= t % 7 == 6  # broken off in the middle
        if where.any():
            begun += int(where.sum())
            step = env.reset(where)
    assert begun > 5


def test_a_policy_that_explores_plays_on_beyond_its_first_episode(run: partage.Run) -> None:
    env = partage.make_env(run.recipe.task, seeds=[3, 4], copies=2, **run.recipe.options)
    policy, step = run.policy(seed=0, explore=True), env.reset()
    for _ in range(2 * env.spec.horizon + 3):
        step = env.step(policy(step))
        if step.ended.any():
            step = env.reset(step.ended)


def test_policies_that_are_not_there_and_steps_of_another_task_are_refused(
    run: partage.Run, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"has no seed 5: its seeds are \[0, 1\]"):
        run.policy(seed=5)
    other = partage.make_env("mpe/15a_3c", seeds=[0], copies=1)
    with pytest.raises(UserError, match=r"play 2 agents with .* but the step has 15, 11 and 5"):
        run.policy()(other.reset())
    published = partage.load_runs(ROOT / "results/published/former/critics-apart/runs/fps")[0]
    with pytest.raises(UserError, match=r"neither policy\.pt nor a checkpoint"):
        published.policy()
    with pytest.raises(UserError, match=r"neither policy\.pt nor a checkpoint"):
        published.policy_distance()


def test_runs_that_are_missing_unfinished_or_corrupt_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        partage.load_runs(tmp_path / "nope")
    lay(tmp_path / "begun", recipe("a2c"))
    with pytest.raises(UserError, match="No finished run lies in"):
        partage.load_runs(tmp_path)
    with pytest.raises(UserError, match="Could not read"):
        partage.Run(tmp_path / "begun")
    (tmp_path / "begun/record.json").write_text(json.dumps({"schema": 1}))
    with pytest.raises(UserError, match=r"another recipe|corrupt"):
        partage.load_runs(tmp_path)


def test_a_learner_is_made_for_an_environment_s_sizes_with_its_settings_as_keywords() -> None:
    env = partage.make_env("lbf/5x5-2p-1f-v3", seeds=[0], copies=2)
    learner = partage.make_learner("qmix", env.spec, seeds=[0], lr=1e-3, copies=2, batch=2)
    where = torch.ones(1, dtype=torch.bool)
    measures = learner.learn(collect_episodes(env, learner.policy, where, True))
    assert {"epsilon", "td_loss"} <= measures.keys()
    with pytest.raises(UserError, match="Unknown setting 'rate'"):
        partage.make_learner("qmix", env.spec, seeds=[0], rate=1.0)
    with pytest.raises(UserError, match=r"Unknown learner 'qmx'.*did you mean 'qmix'"):
        partage.make_learner("qmx", env.spec, seeds=[0])


def test_training_gives_the_process_its_settings_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_flush_denormal(False)  # another test of this process may have trained
    partage.train("fps", "mpe/15a_3c", seeds=[0], results=tmp_path, steps=400)
    assert torch.get_num_threads() == before
    assert float(torch.tensor(1e-40) * 1.0) > 0
