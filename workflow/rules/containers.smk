# Images, made only where they are asked for (`--software-deployment-method apptainer`): else every rule runs with the
# Python that Snakemake itself runs with. An image is built anew when what it holds changes; results do not follow (`ancient`).
import runpy

from snakemake.settings.types import DeploymentMethod

CONTAINED = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
CONTAINERS = SOURCE.parent / "containers"  # of a checkout: images are built there
CORE = [ancient("images/core.sif")] if CONTAINED else []


# In no rule's params: another interpreter or a moved checkout must not retrain.
PYTHON = as_word("python" if CONTAINED else REQUEST.python)
IS_CHECKOUT = SOURCE.name not in ("site-packages", "dist-packages")
PARTAGE = f"{PYTHON} -m partage"
if (
    IS_CHECKOUT
):  # else it is installed; what the user has on the path stays there, but for containers
    more = "" if CONTAINED else "${{PYTHONPATH:+:$PYTHONPATH}}"
    PARTAGE = f"PYTHONPATH={as_word(SOURCE)}{more} {PARTAGE}"
OPTIONS = (
    f"--scale {REQUEST.scale} --engine {REQUEST.engine} --seeds-per-run {REQUEST.seeds_per_run}"
    f" --seed-count {REQUEST.seed_count} --results {as_word(REQUEST.results)}"
)


localrules:
    image,


rule image:
    input:
        recipe=[str(CONTAINERS / name) for name in ("image.def", "install.sh")],
        family=lambda wildcards: [str(path) for path in CONTAINERS.glob(f"{wildcards.family}.sh")],
        lock=str(SOURCE.parent / "requirements.lock"),
    output:
        image="images/{family}.sif",
        digest="images/{family}.sif.sha256",
    log:
        "images/{family}.log",
    params:
        packages=lambda wildcards: runpy.run_path(str(CONTAINERS / "pins.py"))["wanted"](
            wildcards.family
        ),
    run:
        shell("{CONTAINERS:q}/build.sh {wildcards.family} {output.image:q} > {log:q} 2>&1")


IMAGES = sorted({"images/core.sif", *(image_of(run) for run in RECIPE_OF)})
if CONTAINED and not CONTAINERS.is_dir():
    if lacking := [image for image in IMAGES if not Path(image).is_file()]:
        print(
            f"partage: {', '.join(lacking)} are missing, and are built in a clone of the repository only: "
            "build them there, and copy or link the folder images to here.",
            file=sys.stderr,
        )
        sys.exit(2)


rule images:
    input:
        IMAGES,
