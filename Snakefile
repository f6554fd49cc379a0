# figures.toml -> recipes -> runs -> frames -> figures and tables. What is run is decided in partage.plan, not here.
# Snakemake reads profiles/default beside this file by itself (`profiles` is a link to workflow/profiles).
#   .venv/bin/snakemake --cores 2                                   smoke scale, all figures
#   .venv/bin/snakemake --cores 8 --config scale=paper figures=mpd-fig3
#   .venv/bin/snakemake --workflow-profile profiles/slurm --config scale=paper        docs/cluster.md
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.16")

CHECKOUT = Path(os.path.relpath(workflow.basedir))  # relative: moving the checkout changes no input
SOURCE = CHECKOUT / "src"
sys.path.insert(0, str(SOURCE.resolve()))
from partage.config import calibration, jobs, outcomes, plan, recipe, references
from partage.errors import UserError

# Nothing is written while this file is read: a dry run, --lint and --list leave no trace. What is trained is decided by
# what records say (`outcomes.is_made`), never by which file is newer.
try:
    REQUEST = plan.Request.of(config)
    PLAN = plan.load(CHECKOUT).for_scale(REQUEST.scale)
    READY, LEFT_OUT = PLAN.ready(REQUEST.figures)
    FIGURES = {name: PLAN.figures[name] for name in READY if name in PLAN.figures}
    SNAPSHOTS = {name: PLAN.snapshots[name] for name in READY if name in PLAN.snapshots}
    RECIPES = PLAN.recipes(FIGURES.values(), REQUEST)
    recipe.refuse_no_folder(REQUEST.root)
    REFERENCES = references.find(Path(REQUEST.results))
    CALIBRATION = calibration.load(Path(REQUEST.results))
    jobs.refuse_shared_gpus(REQUEST, on_a_cluster=workflow.resource_settings.nodes is not None)
except UserError as error:
    print(f"partage: {error}", file=sys.stderr)
    sys.exit(2)
if LEFT_OUT:
    print(f"partage: left out: {LEFT_OUT}", file=sys.stderr)

ROOT = REQUEST.root.as_posix()
EPISODES = [
    recipe.run_dir(REQUEST.root, each).as_posix()
    for each in PLAN.episode_recipes(FIGURES.values(), REQUEST)
]
RECIPE_OF = {recipe.run_dir(REQUEST.root, each).as_posix(): each for each in RECIPES}
RUNS = list(RECIPE_OF)


# In the main process, once, before the first job; not in a dry run. Recipes that have not changed are left alone.
onstart:
    recipe.write_recipes(REQUEST.root, RECIPES)
    if not workflow.local_exec:
        attempts = 1 + workflow.execution_settings.retries
        if late := jobs.remark(RECIPES, CALIBRATION, REQUEST.job_hours, attempts):
            print(f"partage: {late}", file=sys.stderr)


wildcard_constraints:
    run="[^/]+/[^/]+/[^/]+/[0-9-]+",
    figure="|".join(FIGURES) or "$^",  # matches nothing, where an empty constraint would be none
    snapshot="|".join(SNAPSHOTS) or "$^",
    table="|".join(PLAN.settings_tables) or "$^",


include: "workflow/rules/common.smk"
include: "workflow/rules/containers.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/figures.smk"


# Runs are named too: a figure that is newer than a deleted run would hide its absence.
rule all:
    default_target: True
    input:
        expand("{run}/{file}", run=RUNS, file=["curve.parquet", "record.json"]),
        expand("{root}/frames/{figure}.parquet", root=ROOT, figure=FIGURES),
        expand(
            "{root}/figures/{figure}.{kind}",
            root=ROOT,
            figure=[*FIGURES, *SNAPSHOTS],
            kind=["png", "svg", "pdf"],
        ),
        expand(
            "{root}/tables/{figure}.{kind}",
            root=ROOT,
            figure=[*FIGURES, *PLAN.settings_tables],
            kind=["csv", "md", "tex"],
        ),
        expand("{run}/episode.png", run=EPISODES),


include: "workflow/rules/report.smk"
