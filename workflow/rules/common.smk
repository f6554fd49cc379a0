# Functions of the rules.
import shlex

OWN_FAMILIES = {path.stem for path in study.own("envs")}


def as_word(text: object) -> str:
    """Return what a shell takes as one word, and Snakemake as it stands: a path may hold anything."""
    return shlex.quote(str(text)).replace("{", "{{").replace("}", "}}")


def force(outputs):
    """Make the job that is being planned run, since what lies at `outputs` is of something else."""
    if workflow.is_main_process:  # a job on another node is told to run, and has nothing to decide
        workflow.dag.forcefiles.update(outputs)


def image_of(run):
    """Return the image that a run's task is played in; a study's own families take the suite's packages."""
    family = run.removeprefix(f"{ROOT}/runs/").split("/")[1]
    return f"images/{'core' if family in OWN_FAMILIES else family}.sif"


def image_of_pack(wildcards):
    """Return the image that a pack's task is played in."""
    return image_of(recipe.run_dir(REQUEST.root, PACKS[wildcards.pack][0]).as_posix())


def image_to_train(wildcards):
    """Return the image that a run is trained in, if any; have it trained where its outcome is of another recipe."""
    folder = Path(ROOT, "runs", wildcards.run)
    wanted = RECIPE_OF.get(folder.as_posix())  # none: not of the plan, but asked for by its path
    if wanted and not outcomes.is_made(folder, wanted):
        force((folder / name).as_posix() for name in recipe.OUTCOME)
    return [ancient(image_of(wildcards.run))] if CONTAINED else []


def pack_of_run(wildcards):
    """Return what says that the pack of a run has been trained; nothing where the run has none, or is made."""
    folder = f"{ROOT}/runs/{wildcards.run}"
    if folder not in PACK_OF or outcomes.is_made(Path(folder), RECIPE_OF[folder]):
        return []
    return [ancient(f"{ROOT}/packs/{PACK_OF[folder]}")]


def memory_to_train(wildcards, attempt):
    """Return the MB that a job of a run asks for: more, if it is tried again."""
    return what_to_ask(wildcards, attempt).memory


def minutes_to_train(wildcards):
    """Return the minutes that a job of a run asks for: a run goes on from its checkpoint."""
    return what_to_ask(wildcards).minutes


def what_to_ask(wildcards, attempt=1):
    """Return what a job of a run asks the scheduler for."""
    wanted = RECIPE_OF.get(Path(ROOT, "runs", wildcards.run).as_posix())
    return jobs.ask(wanted, CALIBRATION, REQUEST.device, REQUEST.job_hours, attempt)


def curves_of_frame(wildcards):
    """Return a figure's curves; have its frame made anew where it is of other recipes or runs than these."""
    frame = Path(ROOT, "frames", f"{wildcards.figure}.parquet")
    if workflow.is_main_process and frame.is_file():
        from partage.analysis import frames  # pandas: only where there is something to read

        wanted = PLAN.recipes([FIGURES[wildcards.figure]], REQUEST)
        if frames.differences(frames.attributes(frame), wanted, REQUEST.root):
            force([frame.as_posix()])
    return expand("{run}/curve.parquet", run=RUNS_OF[wildcards.figure])
