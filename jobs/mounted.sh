#!/usr/bin/env bash
# Run a command on a store that is mounted on this node; look.sbatch calls it on each node of a job.
#
#   jobs/mounted.sh CHECKOUT STORE COMMAND...      {} in the command stands for the folder
set -euo pipefail

checkout=$1 store=$2
shift 2
node=${SLURMD_NODENAME:-$(hostname -s)}
folder=/tmp/$(id -un)/mnt-${SLURM_JOB_ID:-$$}-$node

# A mount whose server was killed stays, and nobody can read it: remove those of earlier jobs on this node.
"$checkout/h5vfs.py" --list | while IFS= read -r line; do
    [[ $line == "/tmp/$(id -un)/mnt-"*"-$node  "*"  (crashed)" ]] || continue
    "$checkout/h5vfs.py" -u "${line%%  *}" || true
done || true
exec "$checkout/h5vfs.py" "$store" "$folder" -- "${@//\{\}/$folder}"
