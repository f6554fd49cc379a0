# Figures follow the drawing code: editing it redraws, and never retrains.
DRAWING = sorted(str(path) for path in SOURCE.glob("partage/figures/*.py")) + [str(SOURCE / "partage/stats.py")]
OPTIONS = f"--scale {REQUEST.scale} --engine {REQUEST.engine} --seeds-per-run {REQUEST.seeds_per_run}"
OPTIONS += f" --results {REQUEST.results}"
RUNS_OF = {
    name: [recipe.run_dir(REQUEST.root, each).as_posix() for each in PLAN.recipes([figure], REQUEST)]
    for name, figure in FIGURES.items()
}


rule frame:
    input:
        curves=lambda wildcards: expand("{run}/curve.parquet", run=RUNS_OF[wildcards.figure]),
        records=lambda wildcards: expand("{run}/record.json", run=RUNS_OF[wildcards.figure]),
        code=str(SOURCE / "partage/figures/frame.py"),
    output:
        f"{ROOT}/frames/{{figure}}.parquet",
    log:
        f"{ROOT}/logs/frame/{{figure}}.log",
    params:
        rows=lambda wildcards: [getattr(FIGURES[wildcards.figure], key) for key in ("metric", "also", "strip")],
    shell:
        f"{PARTAGE} frame {{wildcards.figure}} {OPTIONS} > {{log}} 2>&1"


rule draw:
    input:
        frame=f"{ROOT}/frames/{{figure}}.parquet",
        code=DRAWING,
    output:
        f"{ROOT}/figures/{{figure}}.png",
        f"{ROOT}/figures/{{figure}}.svg",
        f"{ROOT}/tables/{{figure}}.csv",
        f"{ROOT}/tables/{{figure}}-claims.csv",
        f"{ROOT}/tables/{{figure}}.md",
    log:
        f"{ROOT}/logs/draw/{{figure}}.log",
    params:
        look=lambda wildcards: PLAN.look(FIGURES[wildcards.figure]),
    shell:
        f"{PARTAGE} draw {{wildcards.figure}} {OPTIONS} > {{log}} 2>&1"
