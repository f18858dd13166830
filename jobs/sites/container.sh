# shellcheck shell=bash disable=SC2034,SC2154
# A site where jobs can be preempted, and Python comes from a container: python3 is a small script on the PATH,
#   exec apptainer exec --nv --bind /dev/fuse --bind /scratch /scratch/me/imagestore.sif python3 "$@"
SITE_OPTIONS=(--partition=preempt --requeue)
PARTITION_OPTIONS=(--time=02:00:00 --cpus-per-task=8 --mem=16G)
MERGE_OPTIONS=(--time=01:00:00 --cpus-per-task=2 --mem=8G)
TRAIN_OPTIONS=(--time=08:00:00 --cpus-per-task=16 --mem=64G)
GPU_OPTIONS=(--gpus-per-node=1)
CLASSIFY_OPTIONS=(--time=01:00:00 --cpus-per-task=8 --mem=16G)
SCRATCH=(/local/"${USER:-$(id -un)}" /dev/shm)

site_environment() {
    module load apptainer
    export PATH="$HOME/imagestore-bin:$PATH" # where the small script python3 is
}
