# Figures follow the drawing code: editing it redraws, and never retrains.
DRAWING = [
    str(path)
    for room in ("analysis", "plots", "report")
    for path in sorted((SOURCE / "partage" / room).glob("*.py"))
]
RUNS_OF = {
    name: [
        recipe.run_dir(REQUEST.root, each).as_posix() for each in PLAN.recipes([figure], REQUEST)
    ]
    for name, figure in FIGURES.items()
}


rule frame:
    input:
        curves=curves_of_frame,
        records=lambda wildcards: expand("{run}/record.json", run=RUNS_OF[wildcards.figure]),
        code=str(SOURCE / "partage/analysis/frames.py"),
        image=CORE,
    output:
        f"{ROOT}/frames/{{figure}}.parquet",
    log:
        f"{ROOT}/logs/frame/{{figure}}.log",
    container:
        "images/core.sif"
    params:
        rows=lambda wildcards: [
            getattr(FIGURES[wildcards.figure], key)
            for key in ("metric", "beside", "also", "strip", "kind")
        ],
    shell:
        f"{PARTAGE} frame {{wildcards.figure}} {OPTIONS} > {{log:q}} 2>&1"


rule draw:
    input:
        frame=f"{ROOT}/frames/{{figure}}.parquet",
        code=DRAWING,
        image=CORE,
    output:
        f"{ROOT}/figures/{{figure}}.png",
        f"{ROOT}/figures/{{figure}}.svg",
        f"{ROOT}/figures/{{figure}}.pdf",
        f"{ROOT}/tables/{{figure}}.csv",
        f"{ROOT}/tables/{{figure}}-claims.csv",
        f"{ROOT}/tables/{{figure}}.md",
        f"{ROOT}/tables/{{figure}}.tex",
    log:
        f"{ROOT}/logs/draw/{{figure}}.log",
    container:
        "images/core.sif"
    params:
        content=lambda wildcards: PLAN.figure_content(FIGURES[wildcards.figure]),
        others=lambda wildcards: references.stamp(
            FIGURES[wildcards.figure], REFERENCES.values(), Path(REQUEST.results)
        ),
    shell:
        f"{PARTAGE} draw {{wildcards.figure}} {OPTIONS} > {{log:q}} 2>&1"


rule snapshot:
    input:
        code=DRAWING,
        image=lambda wildcards: (
            [ancient(f"images/{SNAPSHOTS[wildcards.snapshot].task.split('/')[0]}.sif")]
            if CONTAINED
            else []
        ),
    output:
        f"{ROOT}/figures/{{snapshot}}.png",
        f"{ROOT}/figures/{{snapshot}}.svg",
        f"{ROOT}/figures/{{snapshot}}.pdf",
    log:
        f"{ROOT}/logs/snapshot/{{snapshot}}.log",
    container:
        lambda wildcards: f"images/{SNAPSHOTS[wildcards.snapshot].task.split('/')[0]}.sif"
    params:
        content=lambda wildcards: repr(SNAPSHOTS[wildcards.snapshot]),
    shell:
        f"{PARTAGE} snapshot {{wildcards.snapshot}} {OPTIONS} > {{log:q}} 2>&1"


# It plays with the run's policies, so drawing code is no input: a copied run need not have them. Else --forcerun episode.
rule episode:
    input:
        f"{ROOT}/runs/{{run}}/record.json",
        image=lambda wildcards: [ancient(image_of(wildcards.run))] if CONTAINED else [],
    output:
        f"{ROOT}/runs/{{run}}/episode.csv",
        f"{ROOT}/runs/{{run}}/episode.png",
        f"{ROOT}/runs/{{run}}/episode.svg",
    log:
        f"{ROOT}/logs/episode/{{run}}.log",
    container:
        lambda wildcards: image_of(wildcards.run)
    shell:
        f"{PARTAGE} episode {as_word(ROOT)}/runs/{{wildcards.run}} > {{log:q}} 2>&1"


rule table:
    input:
        code=[
            str(SOURCE / "partage/analysis" / name)
            for name in ("settings_tables.py", "table.py", "latex.py")
        ],
        image=CORE,
    output:
        f"{ROOT}/tables/{{table}}.csv",
        f"{ROOT}/tables/{{table}}.md",
        f"{ROOT}/tables/{{table}}.tex",
    log:
        f"{ROOT}/logs/table/{{table}}.log",
    container:
        "images/core.sif"
    params:
        content=lambda wildcards: PLAN.table_content(wildcards.table, REQUEST.scale),
    shell:
        f"{PARTAGE} table {{wildcards.table}} {OPTIONS} > {{log:q}} 2>&1"
