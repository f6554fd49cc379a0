"""The page in a browser: hover, hide, pick, sort, play, take away; and its data without one."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from small import ROOT, SECOND, checkout, curve, edit, finish, outcome

from partage.analysis import frames
from partage.config import plan
from partage.config.plan import Request
from partage.config.recipe import Recipe, run_dir
from partage.plots import figures, live
from partage.report import build, page
from partage.runs import record

pytestmark = pytest.mark.xdist_group("page")  # what the tests share is made once

EVIL = "</script><script>window.hacked = 1</script>"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom")
SCRIPTS = ("page.js", "player.js", "verdicts.js")
REPORT = ROOT / "src/partage/report"
ELEMENT = "{http://www.w3.org/2000/svg}"

# What a reader does, one thing after another, and what is there to be seen then.
PROBE = r"""{
const seen = { errors, hacked: window.hacked };
const figure = document.querySelector("figure.live"), svg = figure.querySelector("svg");
const data = JSON.parse(figure.querySelector("script").textContent);
const panel = data.panels[0];
const curve = panel.curves.find((one) => one.of === "beta" && one.seed === 3);
const of = (kind, name) => [...svg.querySelectorAll(`[data-kind=${kind}][data-of=${name}]`)];
const shown = (name) =>
  of("curve", name).filter((each) => getComputedStyle(each).display !== "none").length;
const pointAt = (figure, panel, one, i) => {
  const svg = figure.querySelector("svg"), { x, y } = place(panel, one.x[i], one.y[i]);
  const { x: clientX, y: clientY } = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
  svg.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY }));
  const tip = figure.querySelector(".tip");
  return tip.hidden ? "" : tip.textContent;
};
const point = () => pointAt(figure, panel, curve, 5);
const press = (words) =>
  [...document.querySelectorAll("button")].find((each) => each.textContent === words).click();
const rows = (shown) => [...document.querySelectorAll("table.verdicts tbody tr")]
  .filter((row) => !row.hidden).map((row) => row.cells[shown].textContent.trim());
const entry = [...svg.querySelectorAll(".target")].find((each) => each.ariaLabel === "show Beta");

seen.width = [document.documentElement.scrollWidth, window.innerWidth];
seen.drawn = svg.getBoundingClientRect().width / figure.getBoundingClientRect().width;
seen.tip = point();
seen.curves = [shown("alpha"), shown("beta"), of("middle", "beta").length];
entry.dispatchEvent(new MouseEvent("click"));
seen.withoutBeta = [shown("alpha"), shown("beta"), point()];
entry.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
seen.again = shown("beta");
press("3");
seen.picked = [shown("alpha"), shown("beta"), getComputedStyle(of("middle", "beta")[0]).display];
press("3");
seen.csv = curvesAsCsv(data).split("\n").slice(0, 2);
seen.final = data.final.split("\n").length;

const games = [...document.querySelectorAll("figure.live")].at(-1);
const dots = JSON.parse(games.querySelector("script").textContent).panels[0];
const run = (kind) => dots.curves.find((one) => one.kind === kind && one.seed === 1);
seen.dots = [pointAt(games, dots, run("dot"), 0), pointAt(games, dots, run("ring"), 0)];
const ofGames = [...games.querySelectorAll(".target")];
ofGames.find((each) => each.ariaLabel === "show NPS").dispatchEvent(new MouseEvent("click"));
seen.dots.push(pointAt(games, dots, run("dot"), 0));
seen.tools = [...games.querySelectorAll(".tools button")].map((each) => each.textContent);

press("not run (1)");
seen.notRun = rows(1);
press("all (2)");
press("claim");
seen.sorted = rows(1);
seen.figures = rows(0);

const player = figure.querySelector("details"), slider = player.querySelector("input");
player.open = true;
setTimeout(() => {
  const sets = () => [...player.querySelectorAll(".sets")].map((row) =>
    [...row.querySelectorAll(".set")].map((set) => set.textContent).join(" "));
  seen.sets = sets();
  press("Play");
  setTimeout(() => {
    seen.played = [slider.value, sets()];
    const pre = document.createElement("pre");
    pre.id = "seen";
    pre.textContent = JSON.stringify(seen);
    document.body.append(pre);
  }, 11000);
}, 100);
}"""


def with_sharing(recipe: Recipe) -> pd.DataFrame:
    """A made-up curve whose three agents share: all apart, then the last two."""
    rows = [curve(recipe)]
    instants = ((0, [0, 1, 2]), (recipe.steps // 2, [0, 1, 1]))
    for seed in recipe.seeds:
        for steps, groups in instants:
            of = {"seed": seed, "env_steps": steps, "updates": steps // 10}
            metrics = [f"sharing/back/{agent}" for agent in range(3)]
            rows.append(pd.DataFrame({**of, "metric": metrics, "value": np.array(groups, float)}))
    return pd.concat(rows, ignore_index=True)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a page with a figure that has strips and evil names, and one that was not run."""
    root = checkout(tmp_path_factory.mktemp("page"))
    sheets = root / "src/partage/config/sheets"
    edit(sheets / "algorithms.toml", '"Alpha"', f'"Alpha {EVIL}"')
    edit(sheets / "tasks.toml", "options.size = 4", f"label = '{EVIL}'\ngroups = [1, 2]")
    edit(sheets / "figures.toml", '"A figure"', f'"A figure {EVIL}"\nstrip = "beta"')
    claim = '[[second.claims]]\nsays = "An evil claim."\nkind = "negative"\nof = "alpha"\n'
    with (sheets / "figures.toml").open("a") as file:
        second = SECOND.replace('"toy/a", "toy/b"', '"toy/b"')
        file.write(second + claim + 'metrics = ["train_return"]\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PACKAGE", root / "src/partage")
        small = plan.load()
        request = Request(scale="paper", results=str(root / "results"))
        recipes = small.recipes([small.figures["first"]], request)
        finish(recipes, request.root)
        for recipe in recipes:
            record.write(run_dir(request.root, recipe), with_sharing(recipe), outcome(recipe))
        return build.build(small, request, request.root)


@pytest.fixture(scope="module")
def dots() -> str:
    """A figure of games on a page: one run of full sharing, two of none that say what they do."""
    sheets = plan.load()
    task, both = "games/specialisation-4x4-10", ["fps", "nps"]
    figure = sheets.figures["games"]._replace(tasks=[task], algorithms=both, claims=[])
    rows = []
    for algorithm, seed, first in (("fps", 0, 0), ("nps", 0, 1), ("nps", 1, 1)):
        known = {f"sharing/front/{agent}": first * agent for agent in range(4)}
        known |= {"test_return": 2.0 + 3 * first + seed, "train_return": 1.0 + 3 * first - seed}
        rows += [(algorithm, task, seed, 10, 1, *each) for each in known.items()]
    frame = pd.DataFrame(rows, columns=list(frames.COLUMNS)).astype(frames.COLUMNS)
    frame.attrs = {"figure": "games", "scale": "smoke", "engine": "batched"}
    canvas = figures.draw(sheets, figure, frame)
    one = page.embed_live(canvas, "dots", "dots", live.data_of(sheets, figure, frame, canvas, ""))
    return page.environment().get_template("parts.html.j2").module.live(one)


def body(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html.partition("\n")[2])


def the_data(html: str) -> dict[str, Any]:
    found = body(html).findall(".//figure[@class='live']/script")
    return json.loads(found[0].text or "")


def look(html: str, tmp_path: Path, width: int) -> dict[str, Any]:
    """Do in a browser what `PROBE` does, and return what it saw."""
    if BROWSER is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    note = "errors.push(String(e)); document.documentElement.title = errors.join();"
    listen = f"<script>const errors = []; onerror = (e) => {{ {note} }};</script>"
    probed = html.replace("</head>", f"{listen}</head>", 1)
    start, _, end = probed.rpartition("</body>")
    path = tmp_path / "page.html"
    path.write_text(f"{start}<script>{PROBE}</script></body>{end}")
    home = f"--user-data-dir={tmp_path / 'browser'}"
    command = [BROWSER, *FLAGS, home, f"--window-size={width},900", f"file://{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    seen = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert seen, done.stdout[:500] + done.stderr[-500:]
    return json.loads(seen[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.mark.parametrize("width", [500, 1400])
def test_a_reader_finds_hides_picks_sorts_plays_and_takes_away(
    html: str, dots: str, tmp_path: Path, width: int
):
    seen = look(html.replace("<script>", f"{dots}<script>", 1), tmp_path, width)
    assert seen["errors"] == [] and "hacked" not in seen
    wide, inner = seen["width"]
    assert wide <= inner == width and (seen["drawn"] == pytest.approx(1) or width == 500)
    assert seen["tip"] == "Beta, seed 3: 0.318 at 6 updates"
    assert seen["curves"] == [5, 5, 1] and seen["again"] == 5
    assert seen["withoutBeta"][:2] == [5, 0] and "Beta" not in seen["withoutBeta"][2]
    assert seen["picked"] == [1, 1, "none"]
    assert seen["csv"][0] == "task,measure,curve,seed,updates (10 env steps each),value"
    assert seen["csv"][1] == f"toy/a,team return (sum over agents),Alpha {EVIL},0,1,0.0029955"
    told = ["NPS, seed 1: 0.600 with 4 sets", "NPS, seed 1: 0.300 with 4 sets, exploring"]
    assert seen["dots"][:2] == told and "NPS" not in seen["dots"][2]
    assert seen["tools"] == ["0", "1", "final values (csv)"]
    assert seen["notRun"] == ["An evil claim."]
    assert seen["sorted"] == ["An evil claim.", "Beta is better."]
    assert seen["figures"] == ["Another figure", f"A figure {EVIL}"]
    assert seen["sets"] == ["0 1 2"] * 5
    assert seen["played"] == ["160", ["12 0"] * 5]


def test_what_a_pointer_is_told_is_what_is_drawn(html: str):
    data = the_data(html)
    (panel,) = data["panels"]
    left, top, wide, high = panel["box"]
    assert len(panel["curves"]) == 10 and not panel["log"]
    svg = body(html).find(f".//figure/div/{ELEMENT}svg")
    assert svg is not None
    for one in panel["curves"]:
        name = f"[@data-kind='curve'][@data-of='{one['of']}'][@data-seed='{one['seed']}']"
        path = svg.find(f".//{ELEMENT}g{name}/{ELEMENT}path")
        assert path is not None
        numbers = [float(word) for word in path.get("d", "").split() if word not in "ML"]
        for where, place in ((0, numbers[:2]), (-1, numbers[-2:])):
            across = (one["x"][where] - panel["x"][0]) / (panel["x"][1] - panel["x"][0])
            up = (one["y"][where] - panel["y"][0]) / (panel["y"][1] - panel["y"][0])
            at = (left + across * wide, top + (1 - up) * high)
            assert at == pytest.approx(place, abs=0.11)


def test_every_name_that_the_script_looks_for_is_on_the_page(html: str):
    top = body(html)
    figure = top.find(".//figure[@class='live']")
    assert figure is not None
    marks = {(e.get("data-kind"), e.get("data-of")) for e in figure.iter() if e.get("data-kind")}
    both = ("alpha", "beta")
    kinds = ("curve", "middle", "band", "legend")
    assert marks == {("published", "alpha"), *((kind, of) for kind in kinds for of in both)}
    table = top.find(".//table[@class='verdicts grouped']/tbody")
    assert table is not None
    assert [row.get("data-verdict") for row in table] == ["undecided", "not run"]


def test_a_dot_says_what_it_is_of_and_is_drawn_where_the_data_have_it(dots: str):
    top = ElementTree.fromstring(dots)
    (panel,) = json.loads(top.findtext("script") or "")["panels"]
    assert (panel["number"], panel["task"]) == (0, "games/specialisation-4x4-10")
    of_runs = [(one["kind"], one["of"], one["seed"]) for one in panel["curves"]]
    marked = [e for e in top.iter() if e.get("data-kind") in ("dot", "ring")]
    found = [(e.get("data-kind"), e.get("data-of"), int(e.get("data-seed", -1))) for e in marked]
    assert found == of_runs and len(found) == 6
    assert all(e.get("data-words") for e in marked)


def test_the_data_say_who_shared_with_whom_and_whose_group_an_agent_is_of(html: str):
    (one,) = the_data(html)["sharing"]
    assert (one["task"], one["block"], one["end"]) == ("toy/a", "back", 1000)
    assert one["seeds"]["4"] == {"times": [0, 500], "first": [[0, 1, 2], [0, 1, 1]]}
    assert one["colours"] == ["#cfcfcf", "#0173b2", "#0173b2"]


def test_names_cannot_end_what_they_stand_in(html: str):
    assert html.count("<script") == html.count("</script>") == 2 and EVIL not in html
    assert the_data(html)["labels"]["alpha"] == f"Alpha {EVIL}"
    assert live.as_json({"a": "</script>&<!--"}) == '{"a":"\\u003c/script\\u003e\\u0026\\u003c!--"}'


def test_without_script_nothing_is_missing_and_nothing_is_there_that_does_nothing(html: str):
    still = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert "<button" not in still and "hidden=" not in still and 'class="tools"' not in still
    top = body(still)
    words = " ".join(" ".join(top.itertext()).split())
    assert f"A figure {EVIL}" in words and "not run 1" in words and "undecided 1" in words
    assert len(top.findall(f".//{ELEMENT}svg")) == 1


def test_a_figure_of_too_many_points_is_a_picture_with_its_data(
    html: str, monkeypatch: pytest.MonkeyPatch
):
    small = plan.load(ROOT)
    root, request = ROOT / "results/published/lab", Request(scale="lab", seed_count=3)
    figure = small.figures["mpe-learning"]
    frame = frames.build(figure, small.recipes([figure], request), root)
    canvas = figures.draw(small, figure, frame)
    monkeypatch.setattr(page, "MANY_POINTS", 10)
    drawn = page.embed_live(canvas, figure.name, "alt", live.as_json({})).drawn
    assert isinstance(drawn, page.Picture) and drawn.source.startswith("data:image/png")


def test_the_scripts_close_what_they_open():
    """Without a browser: every bracket, outside of texts and remarks, has its pair."""
    text = r'"(?:\\.|[^"\\\n])*"|`[^`]*`|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\[.*?\]/'
    pairs = {")": "(", "]": "[", "}": "{"}
    for name in SCRIPTS:
        opened: list[str] = []
        for letter in re.sub(text, "", (REPORT / name).read_text()):
            if letter in pairs.values():
                opened.append(letter)
            elif letter in pairs:
                assert opened and opened.pop() == pairs[letter], name
        assert not opened, name
        assert "{{" not in (REPORT / name).read_text() and "{%" not in (REPORT / name).read_text()


def test_the_scripts_are_sound_javascript(tmp_path: Path):
    if shutil.which("node") is None:
        pytest.skip("no node is installed")
    whole = tmp_path / "page.js"
    whole.write_text("\n".join((REPORT / name).read_text() for name in SCRIPTS))
    done = subprocess.run(["node", "--check", whole], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_lines_of_scripts_fit_on_the_page():
    for name in SCRIPTS:
        lines = (REPORT / name).read_text().splitlines()
        assert max(map(len, lines)) <= 100 and len(lines) <= 260, name
