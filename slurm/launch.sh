#!/bin/sh
# Start a job's command as a step of Slurm's own: exec slurm/launch.sh CPUS COMMAND [ARGUMENT...]
#
# Slurm signals the processes that it started itself; without a step of its own, a command would never hear of it.
# A command that exits with 128 + SIGURG (the time limit is near), SIGUSR1 or SIGTERM has saved where it was: the job
# goes back into the queue under its id and continues from there. Not if Slurm is ending the job: it was cancelled,
# or is preempted and requeued anyway.
cpus=$1
shift
trap : TERM USR1 # some sites signal this shell too: it waits for the command
srun --overlap --ntasks=1 --cpus-per-task="$cpus" --cpu-bind=quiet "$@"
status=$?
case $status in
151 | 138 | 143)
    # A task of an array by its number: the array's id alone would name all of them.
    job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
    job=${job:-$SLURM_JOB_ID}
    if [ "$(squeue --noheader --jobs="$job" --format=%T)" = RUNNING ]; then
        echo "stopped with status $status: job $job goes back into the queue" >&2
        scontrol requeue "$job"
    fi
    ;;
esac
exit "$status"
