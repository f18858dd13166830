# shellcheck shell=bash disable=SC2034,SC2154
# A site with a partition for CPUs and one for GPUs, accounts, modules, and a disk in each node ($TMPDIR).
SITE_OPTIONS=(--account=my_project)
PARTITION_OPTIONS=(--partition=cpu --time=01:00:00 --cpus-per-task=4 --mem-per-cpu=1G)
MERGE_OPTIONS=(--partition=cpu --time=00:30:00 --cpus-per-task=1 --mem-per-cpu=2G)
TRAIN_OPTIONS=(--partition=gpu --time=04:00:00 --cpus-per-task=8 --mem-per-cpu=4G)
GPU_OPTIONS=(--gres=gpu:1) # of a node, where the site is older than --gpus-per-task
CLASSIFY_OPTIONS=(--partition=cpu --time=00:30:00 --cpus-per-task=4 --mem-per-cpu=2G)
SCRATCH=("${TMPDIR-}" /dev/shm)

site_environment() {
    module load python/3.11 cuda
    # shellcheck source=/dev/null
    source "$checkout/.venv/bin/activate"
}
