#!/bin/sh
# Cancel this folder's jobs that are in the queue, and wait until they are gone: slurm/cancel_orphans.sh
#
# For the start of the workflow. Snakemake locks its folder, so jobs of the folder that are in the queue then are of a
# Snakemake that was killed. It submits their work again, and the same run must not be trained twice at once.
orphans() {
    squeue --noheader --user="$(id -un)" --format='%i|%j|%Z' |
        awk -F'|' -v folder="$PWD" '$2 ~ /^cld_/ && $3 == folder { print $1 }'
}
jobs=$(orphans)
if [ -n "$jobs" ]; then
    echo "cancelling jobs that an earlier Snakemake left in the queue:" $jobs >&2
fi
while [ -n "$jobs" ]; do # again and again: a job on its way back into the queue survives the first
    scancel $jobs
    sleep 2
    jobs=$(orphans)
done
