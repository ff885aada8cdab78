#!/bin/bash
# A job array for Slurm: `sbatch FILE`. Each task works on its share of the objects; submitted again, it does what is left.
# Flags of sbatch go before these lines: `sbatch --partition gpu --time 8:00:00 FILE`.
#SBATCH --job-name=@{ name }
#SBATCH --array=0-@{ shards - 1 }
#SBATCH --cpus-per-task=@{ cpus }
#SBATCH --mem=@{ memory_mb }M
%% if gpus
#SBATCH --gres=gpu:@{ gpus }
%% endif
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -u

# Two minutes before the time limit Slurm sends USR1: the work is stopped in good order, and the task put back in the queue.
child=
late=0
trap 'late=1; [ -z "$child" ] || kill -TERM "$child"' USR1
trap '[ -z "$child" ] || kill -TERM "$child"' TERM

# Where Slurm limits the time of processors and not which ones, programs would start a thread for each of the node's.
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-@{ cpus }}" NUMBA_NUM_THREADS="${SLURM_CPUS_PER_TASK:-@{ cpus }}"

meshcli batch @{ list | shell } \
    --out @{ out | shell } \
    --shard "$SLURM_ARRAY_TASK_ID/@{ shards }" @{ words | shell_words } &
child=$!
while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break # else a signal ended the wait, not the work
done

# 75: the same call goes on by itself.
if { [ "$code" -eq 75 ] || [ "$late" -eq 1 ]; } && [ "${SLURM_RESTART_COUNT:-0}" -lt @{ retries } ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
