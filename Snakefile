# The workflow: workflow/Snakefile. Snakemake reads profiles/default beside this file by itself (`profiles` is a link).
#   .venv/bin/snakemake --cores 2                                   smoke scale, all figures
#   .venv/bin/snakemake --cores 8 --config scale=paper figures=mpd-fig3
#   .venv/bin/snakemake --workflow-profile profiles/slurm --config scale=paper        docs/cluster.md
include: "workflow/Snakefile"


workflow.default_target = "all"  # that of an included file does not count
