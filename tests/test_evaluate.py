"""What `partage distance`, `episode` and `table` make of a run and of the config files."""

import importlib.util
import math
import shutil
from pathlib import Path
from shutil import copytree

import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from running import lay, recipe, trained
from small import ROOT

from partage import envs
from partage.__main__ import main
from partage.analysis import settings_tables
from partage.config import plan
from partage.config.recipe import ENGINES
from partage.config.settings_tables import read_settings_tables
from partage.distances import distance
from partage.errors import UserError
from partage.plots import distances
from partage.plots.style import WARNING
from partage.runs import evaluate, train


@pytest.fixture(scope="module")
def bdps(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bdps")
    settings = {"batch": 4, "buffer": 9, "hidden": 16, "period": 10, "epsilon_anneal": 300}
    trained(folder, recipe("qmix", algorithm="bdps", learner="bdps", settings=settings))
    return folder


def test_the_strips_of_an_episode_show_choices_that_last_a_period(bdps: Path):
    assert main(["episode", str(bdps)]) == 0
    assert (bdps / "episode.png").stat().st_size > 5_000 and (bdps / "episode.svg").is_file()
    found = pd.read_csv(bdps / "episode.csv")
    assert set(found["block"]) == {"roles", "groups"} and set(found["agent"]) == {0, 1}
    assert set(found["value"]) <= {0, 1}
    assert sorted(found["step"].unique()) == list(range(found["step"].max() + 1))
    periods = (
        found.assign(period=found["step"] // 10)
        .groupby(["block", "agent", "period"])["value"]
        .nunique()
    )
    assert (periods == 1).all()


def test_the_same_episode_is_played_again(bdps: Path):
    made = []
    for _ in range(2):
        assert main(["episode", str(bdps)]) == 0
        made.append([(bdps / f"episode.{kind}").read_bytes() for kind in ("csv", "png")])
    assert made[0] == made[1]


def test_distances_of_a_learner_of_values_are_measured_too(bdps: Path):
    assert main(["distance", str(bdps), "--kind", "hellinger", "--episodes", "8"]) == 0
    found = pd.read_csv(bdps / "distance.csv")
    own = found["i"] == found["j"]
    assert (
        len(found) == 2 * 2 * 2
        and (found[own]["distance"] == 0).all()
        and (found[~own]["distance"] > 0).all()
    )


def test_the_distance_of_a_run_is_that_of_its_policies_on_what_agents_met(tmp_path: Path):
    """The vanilla one, pair by pair from the policies' definition."""
    trained(tmp_path, recipe("a2c", settings={"sharing": "none", "copies": 4}))
    found = evaluate.policy_distances(tmp_path, "vanilla_hellinger", 2)
    _, policies, played = evaluate.play(tmp_path, "distance", 2, explore=True)
    obs = played.obs[:, :, :-1]
    for r, i, j in ((0, 3, 7), (1, 0, 14)):
        apart = []
        for m in range(obs.shape[3]):  # what agent m met, shown to i and to j
            met = obs[:, :, :, m : m + 1].expand_as(obs)
            p, q = (policies.probabilities(met, played.actions)[r, :, :, n] for n in (i, j))
            apart.append((1 - (p * q).sqrt().sum(-1)).clamp(min=0).sqrt())
        one = found[(found["seed"] == r) & (found["i"] == i) & (found["j"] == j)]["distance"].item()
        assert one == pytest.approx(float(torch.stack(apart).mean()), rel=1e-4) and one > 0


def test_codes_of_a_run_that_shares_by_a_feature_tell_that_feature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trained(
        tmp_path, recipe("mdps", settings={"copies": 4, "period": 8, "data": 5, "feature": "task"})
    )
    widths, learn = [], distance.learn

    def spy(pooled: distance.Experience, generators: list) -> distance.Code:
        widths.append(pooled.target.shape[-1])
        return learn(pooled, generators)

    monkeypatch.setattr(distance, "learn", spy)
    found = evaluate.policy_distances(tmp_path, "hellinger", 1)
    assert found.attrs["target"] == "task" and widths == [1]


def test_an_infinite_distance_has_the_colour_that_the_picture_says():
    d = [[0.0, math.inf], [math.inf, 0.0]]
    rows = [(0, i, j, d[i][j]) for i in range(2) for j in range(2)]
    found = pd.DataFrame(rows, columns=["seed", "i", "j", "distance"])
    found.attrs = {
        "algorithm": "a",
        "task": "toy/a",
        "scale": "lab",
        "engine": "batched",
        "kind": "vanilla_x",
        "target": "actions",
        "episodes": 2,
    }
    canvas = distances.draw(found)
    assert "red: infinite" in " ".join(
        text.get_text() for part in canvas.subfigs for text in part.texts
    )
    image = next(image for axes in canvas.axes for image in axes.images)
    assert to_hex(image.to_rgba(image.get_array())[0, 1]).upper() == WARNING


def test_a_run_that_is_trained_anew_shows_no_policies_of_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    one = recipe("a2c")
    trained(tmp_path, one)
    shutil.rmtree(tmp_path / "kept")
    (tmp_path / "record.json").unlink()  # as Snakemake does before it runs a rule again
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            train.Training, "advance", lambda self: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            train.run(tmp_path / "recipe.json")
    assert main(["distance", str(tmp_path)]) == 2
    assert "neither policy.pt nor a checkpoint" in capsys.readouterr().err


def test_a_run_that_cannot_be_shown_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["episode", str(tmp_path / "none")]) == 2
    assert "recipe" in capsys.readouterr().err
    lay(tmp_path / "fresh", recipe("qmix"))
    assert main(["episode", str(tmp_path / "fresh")]) == 2
    assert "neither policy.pt nor a checkpoint" in capsys.readouterr().err
    trained(tmp_path / "fixed", recipe("qmix", steps=100))
    assert main(["episode", str(tmp_path / "fixed")]) == 2
    assert "nobody's sets change within an episode" in capsys.readouterr().err
    for name, command in (("policy.pt", "distance"), ("best.pt", "absolute")):
        state = torch.load(file := tmp_path / "fixed" / name, weights_only=True)
        for kept in state.get("states", [state.get("learner")]):
            kept.clear()  # as code would have saved it that kept something else
        torch.save(state, file)
        assert main([command, str(tmp_path / "fixed")]) == 2
        said = capsys.readouterr().err
        assert "does not fit today's code (KeyError" in said and said.count("\n") == 1
    shutil.copy(tmp_path / "fixed/policy.pt", tmp_path / "fixed/best.pt")
    assert main(["absolute", str(tmp_path / "fixed")]) == 2
    assert "does not fit today's code (KeyError: 'steps')" in capsys.readouterr().err
    torch.save([], tmp_path / "fixed/policy.pt")
    assert main(["distance", str(tmp_path / "fixed")]) == 2
    assert "are corrupt (list)" in capsys.readouterr().err


def test_tables_say_what_the_sheets_say_and_what_the_environments_are():
    made = plan.load()
    for listing in made.settings_tables.values():
        table = settings_tables.build(made, listing, "paper")
        assert list(table["task"]) == listing.tasks
        assert list(table.columns) == ["task", *listing.facts, *listing.settings]
    for task in made.tasks.values():
        if task.facts:
            engine = task.engine or ENGINES[0]
            if any(importlib.util.find_spec(package) is None for package in task.needs):
                continue  # football, where it is not installed
            spec = envs.make(task.name, [0], 1, engine=engine).spec
            played = {"agents": spec.n_agents, "horizon": spec.horizon}
            stated = {fact: task.facts[fact] for fact in played if fact in task.facts}
            assert stated == {fact: played[fact] for fact in stated}, task.name


def test_table_two_has_the_papers_numbers_of_roles_and_groups():
    made = plan.load()
    table = settings_tables.build(made, made.settings_tables["bdps-tab2"], "paper").set_index(
        "task"
    )
    assert tuple(table.loc["lbf/15x15-4p-5f-v2", ["agents", "roles", "groups"]]) == (4, 2, 2)


def test_table_is_written_where_figures_tables_lie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["table", "bdps-tab2", "--results", str(tmp_path)]) == 0
    text = (tmp_path / "smoke/tables/bdps-tab2.md").read_text()
    assert "| lbf/15x15-4p-5f-v2 | 4 | 2 | 2 | 10 | 1 |" in text
    assert main(["table", "bdps-tab3", "--results", str(tmp_path)]) == 2
    assert (
        "did you mean 'bdps-tab2'" in capsys.readouterr().err
        or "bdps-tab1" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('facts = ["agents"]', 'facts = ["agent"]', "did you mean 'agents'"),
        ('"roles", "groups", "period"', '"rols", "groups", "period"', "did you mean 'roles'"),
        ('algorithm = "bdps"', 'algorithm = "bdp"', "did you mean 'bdps'"),
        ("lbf/8x8-2p-2f-coop-v3", "lbf/8x8-2p-2f-coop-v4", "task"),
        ("title = ", "titel = ", "titel"),
    ],
)
def test_a_mistake_in_tables_toml_is_one_sentence(tmp_path: Path, old: str, new: str, word: str):
    for part in ("src/partage", "results/reference"):
        copytree(ROOT / part, tmp_path / part)
    file = tmp_path / "src/partage/config/sheets/tables.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=word):
        plan.load(tmp_path)


def test_a_settings_table_s_defaults_are_empty():
    entry = {"paper": "p", "title": "t", "tasks": ["a/b"]}
    one = read_settings_tables({"t": entry})["t"]
    assert (one.facts, one.algorithm, one.settings) == ([], "", [])
