# figures.toml -> recipes -> runs -> frames -> figures and tables. What is run is decided in partage.plan, not here.
# Snakemake reads profiles/default beside this file by itself (`profiles` is a link to workflow/profiles).
#   .venv/bin/snakemake --cores 2                                   smoke scale, all figures
#   .venv/bin/snakemake --cores 8 --config scale=paper figures=mpd-fig3
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.16")

CHECKOUT = Path(os.path.relpath(workflow.basedir))  # relative: moving the checkout changes no input
SOURCE = CHECKOUT / "src"
sys.path.insert(0, str(SOURCE.resolve()))
from partage import Refusal, plan, recipe

# Recipes are written while this file is read, and only where they changed: their times decide what is trained again.
try:
    REQUEST = plan.Request.of(config)
    PLAN = plan.load(CHECKOUT)
    FIGURES = {figure.name: figure for figure in PLAN.pick(REQUEST.figures)}
    RECIPES = PLAN.recipes(FIGURES.values(), REQUEST)
    recipe.write_recipes(REQUEST.root, RECIPES)
except Refusal as refusal:
    print(f"partage: {refusal}", file=sys.stderr)
    sys.exit(2)

ROOT = REQUEST.root.as_posix()
# In no rule's params: another interpreter or a moved checkout must not retrain.
PARTAGE = f"PYTHONPATH={SOURCE} {REQUEST.python} -m partage"
EPISODES = [recipe.run_dir(REQUEST.root, each).as_posix() for each in PLAN.within(FIGURES.values(), REQUEST)]
RUNS = [recipe.run_dir(REQUEST.root, each).as_posix() for each in RECIPES]


wildcard_constraints:
    run="[^/]+/[^/]+/[^/]+/[0-9-]+",
    figure="|".join(FIGURES),
    listing="|".join(PLAN.listings),


include: "workflow/rules/train.smk"
include: "workflow/rules/figures.smk"


# Runs are named too: a figure that is newer than a deleted run would hide its absence.
rule all:
    default_target: True
    input:
        expand("{run}/{file}", run=RUNS, file=["curve.parquet", "record.json"]),
        expand("{root}/frames/{figure}.parquet", root=ROOT, figure=FIGURES),
        expand("{root}/figures/{figure}.{kind}", root=ROOT, figure=FIGURES, kind=["png", "svg", "pdf"]),
        expand("{root}/tables/{figure}.{kind}", root=ROOT, figure=[*FIGURES, *PLAN.listings], kind=["csv", "md", "tex"]),
        expand("{run}/episode.png", run=EPISODES),


include: "workflow/rules/report.smk"
