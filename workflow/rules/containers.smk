# Images, made only where they are asked for (`--software-deployment-method apptainer`): else every rule runs with the
# Python that Snakemake itself runs with. An image is built anew when what it holds changes; results do not follow (`ancient`).
import runpy

from snakemake.settings.types import DeploymentMethod

CONTAINED = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
CONTAINERS = CHECKOUT / "containers"
CORE = [ancient("images/core.sif")] if CONTAINED else []


# In no rule's params: another interpreter or a moved checkout must not retrain.
PARTAGE = (
    f"PYTHONPATH={as_word(SOURCE)} {as_word('python' if CONTAINED else REQUEST.python)} -m partage"
)


localrules:
    image,


rule image:
    input:
        recipe=[str(CONTAINERS / name) for name in ("image.def", "install.sh")],
        family=lambda wildcards: [str(path) for path in CONTAINERS.glob(f"{wildcards.family}.sh")],
        lock=str(CHECKOUT / "requirements.lock"),
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


rule images:
    input:
        expand("images/{family}.sif", family=["core", *sorted({each.family for each in RECIPES})]),
