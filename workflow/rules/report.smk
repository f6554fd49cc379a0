# Everything on one page. `partage report` makes the same page of what there is now, and trains nothing.
CAPTIONS = [plan.caption(each.caption) for each in (*FIGURES.values(), *SNAPSHOTS.values())]
TEMPLATES = [
    str(path)
    for kind in ("*.html.j2", "*.css")
    for path in sorted((SOURCE / "partage/report").glob(kind))
]
TESTED = [recipe.run_dir(REQUEST.root, each).as_posix() for each in RECIPES if each.test_every]
ABSOLUTE = [f"{run}/absolute.json" for run in TESTED]


rule report:
    input:
        rules.all.input,
        captions=[str(path) for path in CAPTIONS if path.is_file()],
        code=DRAWING,
        templates=TEMPLATES,
        absolute=[path for path in ABSOLUTE if Path(path).is_file()],
        image=CORE,
    output:
        f"{ROOT}/report.html",
    log:
        f"{ROOT}/logs/report.log",
    container:
        "images/core.sif"
    params:
        shown=lambda wildcards, input: sorted(map(str, input)),  # what is no longer shown is newer than nothing
    shell:
        f"{PARTAGE} report --figures {as_word(REQUEST.figures)} {OPTIONS} > {{log:q}} 2>&1"


# What the best policies are worth, on 320 episodes of their own: asked for by name, since it needs runs of today's code.
rule absolute:
    input:
        f"{ROOT}/runs/{{run}}/record.json",
        image=lambda wildcards: [ancient(image_of(wildcards.run))] if CONTAINED else [],
    output:
        f"{ROOT}/runs/{{run}}/absolute.json",
    log:
        f"{ROOT}/logs/absolute/{{run}}.log",
    container:
        lambda wildcards: image_of(wildcards.run)
    shell:
        f"{PARTAGE} absolute {as_word(ROOT)}/runs/{{wildcards.run}} > {{log:q}} 2>&1"


rule absolutes:
    input:
        ABSOLUTE,
