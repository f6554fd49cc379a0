# Cells that differ in settings alone, side by side on one GPU. Their outcomes lie in their own folders, where each run's own job of the rule
# `train`, which waits for this one, finds its run trained, or says why it is not: a run that lost its numbers, or a pack that was refused
# (exit code 2), is no obstacle to the others. So the output says only that it was tried, and goes when those jobs are done.
rule train_pack:
    input:
        image=lambda wildcards: [ancient(image_of_pack(wildcards))] if CONTAINED else [],
    output:
        temp(touch(f"{ROOT}/packs/{{pack}}")),
    log:
        f"{ROOT}/logs/train/packs/{{pack}}.log",
    container:
        image_of_pack
    threads: 1
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: jobs.memory_of_pack(
            PACKS[wildcards.pack], CALIBRATION, REQUEST.device, REQUEST.job_hours, attempt
        ),
    params:
        recipes=lambda wildcards: [
            as_word(recipe.run_dir(REQUEST.root, each) / "recipe.json")
            for each in PACKS[wildcards.pack]
        ],
    shell:
        f"trap : TERM; {BEFORE}{PAGES} {PARTAGE} train {{params.recipes}} --wait {DEVICE}{LIVE} > {{log:q}} 2>&1"
        f" || test $? = 2"
