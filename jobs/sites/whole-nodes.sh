# shellcheck shell=bash disable=SC2034,SC2154
# A site that gives whole nodes without GPUs, counts no memory, wants a QoS, and does not pass the environment on
# (sbatch --export=NONE). Nodes have no disk, so copies of stores go to memory.
SITE_OPTIONS=(-p standard -q normal -A p12345 --exclusive)
PARTITION_OPTIONS=(-t 00:30:00 -c 32)
MERGE_OPTIONS=(-t 00:30:00 -c 4)
TRAIN_OPTIONS=(-t 02:00:00 -c 32)
GPU_OPTIONS=()
CLASSIFY_OPTIONS=(-t 00:30:00 -c 32)
SCRATCH=(/dev/shm)

site_environment() {
    export XDG_CACHE_HOME=/scratch/$USER/cache # the home folder is small
    export PATH="/scratch/$USER/venv/bin:$PATH"
}
