# One recipe -> one run. Its content is all that counts, so it is no input, whose time would: a run is made where its
# record is of today's recipe. Code is stamped into the record, and does not retrain (`partage stale` lists what other code
# made), nor does an image that was built anew. Checkpoints lie beside the outputs and outlive a failed job. After a killed
# main process its jobs may still be at it: --wait lets them end.
PAGES = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"  # huge ones, where the C library knows how: 3 to 6 % less time
DEVICE = f"--device {REQUEST.device} --runs-per-gpu {REQUEST.runs_per_gpu}"
LIVE = f" --live {as_word(REQUEST.live)}" if REQUEST.live else ""
# Snakemake empties the log before every attempt: on a cluster a failed one goes into that job's own log, too.
# The shell waits: if a cancelled job's SIGTERM ended it, the job would be over while the trainer still saves its checkpoint.
WRITE = f"{PARTAGE} plan --write --figures {as_word(REQUEST.figures)} {OPTIONS} > /dev/null && "
BEFORE = "" if workflow.modifier.is_main_snakefile() else WRITE
AFTER = "|| {{ code=$?; cat {log:q} >&2; exit $code; }}" if workflow.remote_exec else ""


rule train:
    input:
        image=image_to_train,
        pack=pack_of_run,
    output:
        f"{ROOT}/runs/{{run}}/curve.parquet",
        f"{ROOT}/runs/{{run}}/record.json",
    log:
        f"{ROOT}/logs/train/{{run}}.log",
    container:
        lambda wildcards: image_of(wildcards.run)
    threads: 1
    resources:
        gpu=int(REQUEST.device == "cuda"),
        mem_mb=memory_to_train,
        runtime=minutes_to_train,
    shell:
        f"trap : TERM; {BEFORE}{PAGES} {PARTAGE} train {as_word(ROOT)}/runs/{{wildcards.run}}/recipe.json"
        f" --wait {DEVICE}{LIVE} > {{log:q}} 2>&1 {AFTER}"
