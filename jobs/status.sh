#!/usr/bin/env bash
# How far each step of jobs/pipeline.sh is, and what failed, with the last lines of its log. See --help.
set -eo pipefail # without -u: to bash 4.3, an empty list is an unset variable
shopt -s nullglob

usage() {
    cat <<'END'
usage: jobs/status.sh FOLDER [OPTIONS]

FOLDER is the output folder of jobs/pipeline.sh. Prints a line for each step, and the last lines of the log of what
failed. The exit status is 1 if something failed, else 0.

options:
  --lines N     lines of a log (default: 5)
  -h, --help    print this
END
}

fail() {
    printf 'status.sh: error: %s\n' "$1" >&2
    exit "${2:-1}"
}

folder='' lines=5
while (($#)); do
    case $1 in
        -h | --help) usage; exit ;;
        --lines=*) lines=${1#*=} ;;
        --lines) lines=${2-}; shift ;;
        -*) fail "unknown option $1; --help lists all" 2 ;;
        *) folder=$1 ;;
    esac
    shift
done
[[ $lines =~ ^[0-9]+$ ]] || fail '--lines needs a number' 2
[[ $folder ]] || { usage >&2; fail 'give the output folder of pipeline.sh' 2; }
state=$folder/pipeline
[[ -d $state ]] || fail "$folder: pipeline.sh has not worked here (there is no folder pipeline in it)"

# job TAB state TAB reason of all jobs of this user; a task of an array is 12_3. Empty where Slurm does not answer.
queue=$(squeue --noheader --array --user="$(id -un)" --format='%i	%T	%r' 2>/dev/null) ||
    printf 'status.sh: squeue does not answer: what is in the queue is not known\n' >&2

job_of() { # STEP: its latest job
    [[ ! -f $state/jobs ]] || awk -F '\t' -v step="$1" '$1 == step { job = $2 } END { print job }' "$state/jobs"
}

# What Slurm says of a job, such as "RUNNING" or "PENDING (Dependency)"; nothing if it is not in the queue.
in_queue() {
    awk -F '\t' -v job="$1" '$1 == job { print $2 ($2 == "PENDING" ? " (" $3 ")" : "") }' <<<"$queue" | head -n 1
}

# What the JSON summary of a step says: images, and seconds.
counted() {
    [[ -f $1 ]] || return 0
    sed -n 's/^ "images": \([0-9]*\).*/\1 images/p; s/^ "seconds": \([0-9.]*\).*/in \1 s/p' "$1" | paste -sd ' '
}

failed=0
tell() { printf '%-14s %s\n' "$1" "$2"; }

tell_failure() { # STEP LOG
    failed=1
    tell "$1" "failed; log: $2"
    [[ ! -f $2 ]] || tail -n "$lines" "$2" | sed 's/^/    /'
}

# tell_step NAME JOB LOG SUMMARY
tell_step() {
    local now
    if [[ -f $state/done/$1 ]]; then
        tell "$1" "done $(counted "$4")"
    elif [[ ! $2 ]]; then
        tell "$1" 'not submitted'
    else
        now=$(in_queue "$2")
        if [[ $now ]]; then
            tell "$1" "$now, job $2 $(last_epoch "$1" "$3")"
        elif [[ ! $queue ]] && ! squeue --noheader >/dev/null 2>&1; then
            tell "$1" "not done, job $2"
        elif [[ -s $3 ]]; then
            tell_failure "$1" "$3"
        else
            tell "$1" "not done: job $2 was cancelled before it began; the same call of pipeline.sh submits it again"
        fi
    fi
}

last_epoch() {
    [[ $1 != train || ! -f $2 ]] || grep -E '^epoch [0-9]+/' "$2" | tail -n 1 || true
}

tell_partition() {
    local task number=0 tasks job images=0 file
    tasks=$(sed -n 's/.* --tasks \([0-9]*\).*/\1/p' "$state/partition.settings" 2>/dev/null)
    job=$(job_of partition)
    for ((task = 1; task <= ${tasks:-0}; task++)); do
        if [[ -f $state/done/partition-$task ]]; then
            number=$((number + 1))
            file=$(sed -n 's/^ "images": \([0-9]*\).*/\1/p' "$state/summaries/partition-$task.json" 2>/dev/null) || file=0
            images=$((images + ${file:-0}))
        else
            tell_step "partition-$task" "${job:+${job}_$task}" "$folder/logs/partition-${job}_$task.log" ''
        fi
    done
    tell partition "$number of ${tasks:-0} tasks done, $images images"
}

tell_partition
for step in merge train classify; do
    [[ $step != merge || ! $(head -n 1 "$state/train.settings" 2>/dev/null) == no* ]] || continue
    job=$(job_of "$step")
    summary=$state/summaries/$step.json
    [[ $step != merge ]] || summary=$state/summaries/merge-train.json
    tell_step "$step" "$job" "$folder/logs/$step-$job.log" "$summary"
done
[[ ! -f $folder/report.txt ]] || grep -h accuracy "$folder/report.txt"
((!failed)) || printf '\nthe same call of pipeline.sh goes on from what is done\n'
exit "$failed"
