#!/usr/bin/env bash
# From an archive to a trained model, by jobs of Slurm that wait for one another. See --help.
set -eo pipefail # without -u: to bash 4.3, an empty list is an unset variable
shopt -s nullglob

usage() {
    cat <<'END'
usage: jobs/pipeline.sh ARCHIVE... [OPTIONS] [-- OPTIONS OF SBATCH]

Submits four jobs, and prints their numbers, what each waits for, and where the results will be:
  partition   an array: each task labels a share of the images
  merge       joins their stores into train.h5 and test.h5
  train       trains a network on train.h5
  classify    tries it on test.h5; writes report.txt and answers.csv

The same command again goes on where the first one ended. jobs/status.sh FOLDER tells how far each step is.
ARCHIVE is an archive or a folder, a quoted glob, or a range such as 'shard-{00..99}.tar'.

options:
  -o, --output FOLDER   where stores, weights and logs go (default: NAME-results here, by the archive's name)
  --tasks N             tasks that label (default: 4); a task should have some thousand images
  --by-archive          each task labels some of the archives, in place of a share of all images: faster from some
                        million images on, because no task lists the images of all archives
  --fraction F          share of the images to train on (default: 0.8)
  --no-merge            train on the stores of the tasks as they are
  --partition 'FLAGS'   flags of colourHeuristic.py partition, such as '--labels folder --seed 1'
  --train 'FLAGS'       flags of train_model.py, such as '--epochs 20'
  --classify 'FLAGS'    flags of classify.py
  --gpus                give each training process a GPU
  --processes N         training processes on a node (default: 1)
  --nodes N             nodes to train on (default: 1)
  --no-scratch          read the stores where they are, without copies on the nodes
  --site FILE           the file with the options of your cluster (default: jobs/site.sh)
  --dry-run             print the lines that would be run, and do nothing
  -h, --help            print this

Everything behind -- goes to each sbatch line: -- --partition=debug --account=me
END
}

fail() {
    printf 'pipeline.sh: error: %s\n' "$1" >&2
    exit "${2:-1}"
}

quoted() {
    local words
    printf -v words '%q ' "$@"
    printf '%s\n' "${words% }"
}

# ----- the command line -----

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
archives=() sbatch_options=() partition_flags=() train_flags=() classify_flags=()
folder='' by_archive='' tasks=4 fraction=0.8 merges=1 gpus='' processes=1 nodes=1 scratch=1 dry_run=''
site=${SITE:-$checkout/jobs/site.sh}

need_value() { (($1 > 1)) || fail "$2 needs a value" 2; }

count() {
    [[ $2 =~ ^[1-9][0-9]{0,5}$ ]] || fail "$1 $2: a whole number from 1 is needed" 2
    printf '%s' "$2"
}

# Split flags into words as a shell does, with quotes.
split() { # OPTION FLAGS
    local words
    words=$(xargs -n1 printf '%s\n' <<<"$2" 2>/dev/null) || fail "$1: a quote is missing in: $2" 2
    flags=()
    [[ ! $words ]] || mapfile -t flags <<<"$words"
}

while (($#)); do
    case $1 in
        -h | --help) usage; exit ;;
        --no-merge) merges='' ;;
        --by-archive) by_archive=1 ;;
        --gpus) gpus=1 ;;
        --no-scratch) scratch='' ;;
        --dry-run) dry_run=1 ;;
        --) shift; sbatch_options=("$@"); break ;;
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
        -o | --output) need_value $# "$1"; folder=$2; shift ;;
        --tasks) need_value $# "$1"; tasks=$(count "$1" "$2"); shift ;;
        --processes) need_value $# "$1"; processes=$(count "$1" "$2"); shift ;;
        --nodes) need_value $# "$1"; nodes=$(count "$1" "$2"); shift ;;
        --fraction) need_value $# "$1"; fraction=$2; shift ;;
        --site) need_value $# "$1"; site=$2; shift ;;
        --partition) need_value $# "$1"; split "$1" "$2"; partition_flags=("${flags[@]}"); shift ;;
        --train) need_value $# "$1"; split "$1" "$2"; train_flags=("${flags[@]}"); shift ;;
        --classify) need_value $# "$1"; split "$1" "$2"; classify_flags=("${flags[@]}"); shift ;;
        -*) fail "unknown option $1; --help lists all" 2 ;;
        '') fail 'an argument is empty: is a variable unset?' 2 ;;
        *) archives+=("$1") ;;
    esac
    shift
done
((${#archives[@]})) || { usage >&2; fail 'give an archive' 2; }
[[ $fraction =~ ^(1|1\.0*|0?\.[0-9]*[1-9][0-9]*)$ ]] || fail "--fraction $fraction: a number above 0, at most 1, is needed" 2
[[ -r $site ]] || fail "$site: no such file; --site names the file with the options of your cluster"
# shellcheck source=jobs/site.sh
source "$site"
site=$(cd "$(dirname "$site")" && pwd -P)/$(basename "$site")

absolute() { [[ $1 == /* ]] && printf '%s' "$1" || printf '%s/%s' "$PWD" "$1"; }

# An archive that is missing would be told only when its job starts. Globs and ranges may be meant.
for archive in "${archives[@]}"; do
    [[ -e ${archive%%.h5:*} || -e ${archive%%.parquet:*} || $archive == *['*?[{:']* ]] || fail "$archive: no such file"
done
if [[ ! $folder ]]; then
    folder=$(basename "${archives[0]%%[*?[\{]*}")
    folder=${folder%.*}
    folder=${folder%.tar}-results
fi
folder=$(absolute "$folder")
state=$folder/pipeline

# ----- one call at a time -----

# The lock is a folder, which only one call can make, on file systems without flock, too. It names its holder.
lock() {
    local holder='' try
    for try in 1 2 3; do
        if mkdir "$state/lock" 2>/dev/null; then
            printf '%s %s\n' "$(hostname)" "$$" >"$state/lock/holder"
            trap 'rm -rf "$state/lock"' EXIT
            return
        fi
        holder=$(cat "$state/lock/holder" 2>/dev/null) || holder=''
        if [[ $holder == "$(hostname) "* ]] && ! kill -0 "${holder#* }" 2>/dev/null; then
            rm -rf "$state/lock" # that call was killed
        elif ((try < 3)); then
            sleep 0.3
        fi
    done
    fail "$folder: another call of pipeline.sh works here (${holder:-it has not said who}); if it is gone, remove $state/lock"
}

# The jobs of earlier calls that are still in the queue.
queued() {
    local listed id
    [[ -s $state/jobs ]] || return 0
    listed=$(squeue --noheader --user="$(id -un)" --format=%F) || fail 'squeue does not answer; try again later'
    while IFS=$'\t' read -r _ id _; do
        grep -qx "$id" <<<"$listed" && printf '%s ' "$id"
    done <"$state/jobs"
    return 0
}

# Keep what a step is told: `settle STEP MADE WORDS...`. If it has MADE something already, it must not change.
settle() {
    local step=$1 made=$2 words
    words=$(quoted "${@:3}")
    [[ -f $state/$step.settings && $(<"$state/$step.settings") != "$words" ]] || made=''
    if [[ $made == again ]]; then
        [[ $dry_run ]] || rm -f "$state/done/$step"
    elif [[ $made ]]; then
        fail "$folder: $step was begun with other settings: $(<"$state/$step.settings"). Use these again, or another --output"
    fi
    [[ $dry_run ]] || printf '%s\n' "$words" >"$state/$step.settings"
}

# ----- submitting -----

submitted=() # all jobs of this call
last=''      # the job that the next one waits for

cancel_submitted() {
    ((!${#submitted[@]})) || scancel "${submitted[@]}" || true
}

# submit STEP RESULT SBATCH-OPTION... -- SCRIPT ARGUMENT...
submit() {
    local step=$1 result=$2 options=() words job log
    shift 2
    while [[ $1 != -- ]]; do options+=("$1"); shift; done
    shift
    log=${folder//%/%%}/logs/$step-%j.log
    [[ $step != partition ]] || log=${folder//%/%%}/logs/$step-%A_%a.log
    words=(sbatch --parsable --export=ALL --chdir="$PWD" --job-name="$step" --output="$log"
        "${SITE_OPTIONS[@]}" "${options[@]}" "${sbatch_options[@]}")
    if [[ $dry_run ]]; then
        # shellcheck disable=SC2016 # the printed line does it
        printf '%s=$(cd %q && OUT=%q SHARDS=%q BY_ARCHIVE=%q SITE=%q ' \
            "$step" "$checkout" "$folder" "$tasks" "$by_archive" "$site"
        printf '%s ' "$(quoted "${words[@]}")"
        [[ ! $last ]] || printf -- '--dependency="afterok:$%s" --kill-on-invalid-dep=yes ' "$last"
        printf '%s)\n' "$(quoted "jobs/$1" "${@:2}")"
        last=$step
        return
    fi
    [[ ! $last ]] || words+=(--dependency="afterok:$last" --kill-on-invalid-dep=yes)
    words+=("jobs/$1" "${@:2}")
    if ! job=$(cd "$checkout" && OUT=$folder SHARDS=$tasks BY_ARCHIVE=$by_archive SITE=$site "${words[@]}"); then
        cancel_submitted
        fail "Slurm refuses the job $step, so nothing is left in the queue; options of your cluster stand in $site"
    fi
    job=${job%%;*} # with several clusters, the cluster's name follows
    submitted+=("$job")
    printf '%s\t%s\t%s\n' "$step" "$job" "${last:--}" >>"$state/jobs"
    printf '%-10s %-9s %-9s %s\n' "$step" "$job" "${last:--}" "$result"
    last=$job
}

is_done() { [[ -f $state/done/$1 ]]; }

without_globs() { # as a pattern, the text means itself
    local text=${1//[/[[]}
    text=${text//\*/[*]}
    printf '%s' "${text//\?/[?]}"
}

already() { [[ $dry_run ]] || printf '%-10s %-9s %-9s %s\n' "$1" 'done' - "$2"; }

submit_partition() {
    local missing=() task given=() archive
    for ((task = 1; task <= tasks; task++)); do
        if ! is_done "partition-$task"; then missing+=("$task"); fi
    done
    if ((!${#missing[@]})); then already partition "$stores_made"; return; fi
    for archive in "${archives[@]}"; do given+=("$(absolute "$archive")"); done
    submit partition "$stores_made" --array="$(IFS=,; printf '%s' "${missing[*]}")" "${PARTITION_OPTIONS[@]}" \
        -- partition.sbatch "${given[@]}" "$fraction" "${partition_flags[@]}"
}

submit_train() {
    local options=("${TRAIN_OPTIONS[@]}" --nodes="$nodes" --ntasks-per-node="$processes")
    [[ ! $gpus ]] || options+=("${GPU_OPTIONS[@]}")
    submit train "$folder/model_weights.pth" "${options[@]}" -- train.sbatch "$1" "${train_flags[@]}"
}

main() {
    local store=$folder/train.h5 test=$folder/test.h5 made
    made=$(echo "$folder"/{train,test}-*.h5 "$folder"/.t*.journal) # empty if there is none
    stores_made="$folder/{train,test}-{1..$tasks}.h5"
    if [[ ! $merges ]]; then
        store="$(without_globs "$folder")/train-*.h5" test="$(without_globs "$folder")/test-*.h5"
    fi
    settle partition "$made" "${archives[@]}" "$fraction" --tasks "$tasks" ${by_archive:+by-archive} \
        "${partition_flags[@]}"
    made=''
    [[ ! -f $folder/checkpoint.pth ]] || made=1
    settle train "$made" "${merges:-no merge}" "$nodes nodes" "$processes processes" "${train_flags[@]}"
    settle classify again "${classify_flags[@]}"

    [[ $dry_run ]] || printf '%-10s %-9s %-9s %s\n' step job 'waits for' result
    submit_partition
    if [[ $merges ]]; then
        if [[ ! $last ]] && is_done merge; then already merge "$store"; else
            submit merge "$folder/{train,test}.h5" "${MERGE_OPTIONS[@]}" -- merge.sbatch
        fi
    fi
    if [[ ! $last ]] && is_done train; then already train "$folder/model_weights.pth"; else submit_train "$store"; fi
    if [[ $fraction == 1* ]]; then
        printf 'classify is left out: with --fraction %s, no image is left to try the network on\n' "$fraction" >&2
    elif [[ ! $last ]] && is_done classify; then already classify "$folder/report.txt"
    else
        submit classify "$folder/report.txt" "${CLASSIFY_OPTIONS[@]}" -- classify.sbatch "$test" "${classify_flags[@]}"
    fi
}

if [[ $dry_run ]]; then
    main
    exit
fi
command -v sbatch >/dev/null || fail 'there is no sbatch here: is this a login node of a cluster with Slurm?'
mkdir -p "$state/done" "$state/summaries" "$folder/logs" || fail "$folder: cannot be made"
lock
in_queue=$(queued)
[[ ! $in_queue ]] || fail "$folder: jobs of an earlier call are in the queue: ${in_queue% }. jobs/status.sh shows them; 'scancel ${in_queue% }' ends them"
trap 'cancel_submitted; exit 130' INT TERM
[[ $scratch ]] || export WITHOUT_SCRATCH=1
main
printf '\nresults: %s\nhow far it is: %s\n' "$folder" "$(quoted "$checkout/jobs/status.sh" "$folder")"
((!${#submitted[@]})) || printf 'to end it: scancel %s\n' "${submitted[*]}"
