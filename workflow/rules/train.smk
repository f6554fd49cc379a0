# One recipe -> one run. The recipe is the only input: code is stamped into the record, and does not retrain
# (`partage stale` lists what other code made). Checkpoints lie beside the outputs and outlive a failed job.
rule train:
    input:
        f"{ROOT}/runs/{{run}}/recipe.json",
    output:
        f"{ROOT}/runs/{{run}}/curve.parquet",
        f"{ROOT}/runs/{{run}}/record.json",
    log:
        f"{ROOT}/logs/train/{{run}}.log",
    threads: 1
    shell:
        f"{PARTAGE} train {{input}} > {{log}} 2>&1"
