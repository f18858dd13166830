# shellcheck shell=bash disable=SC2034,SC2154
# What differs between clusters, and nothing else: all scripts in jobs/ read this file. Change it, or copy one of
# jobs/sites/ and name the copy: SITE=~/my-site.sh jobs/pipeline.sh photos.tgz (or --site ~/my-site.sh).
#
# Each list holds options of sbatch, in any spelling that your sbatch takes.
SITE_OPTIONS=()                                                     # every job: --partition=… --account=… --qos=…
PARTITION_OPTIONS=(--time=00:30:00 --cpus-per-task=2 --mem-per-cpu=1G) # each task of the array that labels
MERGE_OPTIONS=(--time=00:30:00 --cpus-per-task=1 --mem-per-cpu=1G)
TRAIN_OPTIONS=(--time=01:00:00 --cpus-per-task=2 --mem-per-cpu=2G)  # the CPUs and the memory are those of a process
GPU_OPTIONS=(--gpus-per-task=1)                                     # with --gpus: what gives each process a GPU
CLASSIFY_OPTIONS=(--time=00:30:00 --cpus-per-task=2 --mem-per-cpu=2G)

# Where a job keeps copies of its stores, the fastest place first. The first one with room is taken; an empty
# list means that stores are read where they are.
SCRATCH=("${SLURM_TMPDIR-}" "${TMPDIR-}" /dev/shm "/tmp/${USER:-$(id -un)}")

# What makes python3 the one that has this project's packages. $checkout is the folder of the project.
site_environment() {
    # module load python/3.11
    export PATH="$checkout/.venv/bin:$PATH"
}
