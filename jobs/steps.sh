# shellcheck shell=bash
# What the batch scripts share. A script sets `checkout` and sources this file.
#
# `run_to_the_end` runs a program that leaves its work in files. If the program is stopped before the time limit,
# preempted or killed, it puts the job back into the queue, where the program goes on from these files.

# shellcheck source=jobs/site.sh
source "${SITE:-$checkout/jobs/site.sh}"
site_environment
script=${SLURM_JOB_NAME:-job}
script=${script//\//_} # it is part of a file's name, too
out=${OUT:-.}

say() { printf '%s: %s\n' "$script" "$*" >&2; }

# A number that grows with each image that is stored, also in a run that was killed. Arguments: stores.
progress_of_stores() {
    local store file size total=0
    for store; do
        for file in "$store" "$(dirname "$store")/.$(basename "$store")".*.journal; do
            size=$(stat -c %s "$file" 2>/dev/null) || size=0
            total=$((total + size))
        done
    done
    echo "$total"
}

# A text that changes with each checkpoint of a training.
progress_of_training() { stat -c '%i %y' "$out/checkpoint.pth" 2>/dev/null || true; }

# run_to_the_end 'PROGRESS COMMAND' PROGRAM ARGUMENTS...
# The batch shell gets the signals of Slurm, and acts on them only while it waits. So the program runs in the
# background, and the shell passes the signals on.
run_to_the_end() {
    local progress=$1 before status signalled warned='' told_to_end=''
    shift
    before=$($progress)
    program=''
    trap 'signalled=1 warned=1; pass_on USR1' USR1
    trap 'signalled=1 told_to_end=1; pass_on TERM' TERM
    run_and_wait "$@"
    trap '' USR1
    trap - TERM
    ((status)) || { rm -f "$(fruitless_file)"; return 0; }
    if [[ $warned ]] || { [[ $told_to_end ]] && still_wanted; } || { ((status > 128)) && [[ ! $told_to_end ]]; }; then
        go_on_later "$status" "$before" "$($progress)"
    fi
    return "$status"
}

# Run a program in the background, and set `status` at its end.
run_and_wait() {
    "$@" &
    program=$!
    while :; do
        signalled='' status=0
        wait "$program" || status=$?
        [[ $signalled ]] || return 0 # a signal ends the wait too, and then the program still runs
    done
}

# srun would answer SIGTERM by killing its tasks; scancel sends it to them, and not to this shell.
pass_on() { # SIGNAL
    if [[ $1 == TERM && ${launcher[*]-} ]]; then
        scancel --signal=TERM "$SLURM_JOB_ID" 2>/dev/null || true
    else
        kill -s "$1" "$program" 2>/dev/null || true
    fi
}

# After SIGTERM: whether nobody has cancelled the job. Then it is preempted, or its node goes down.
still_wanted() { [[ $(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T 2>/dev/null) == RUNNING ]]; }

fruitless_file() { printf '%s/.%s-%s.fruitless' "$out" "$script" "${SLURM_JOB_ID:-0}"; }

# go_on_later STATUS BEFORE AFTER: put this job back into the queue. After two runs without progress, do not.
go_on_later() {
    local status=$1 fruitless=0 file
    file=$(fruitless_file)
    if [[ $2 == "$3" ]]; then
        [[ ! -f $file ]] || fruitless=$(<"$file")
        fruitless=$((fruitless + 1))
    fi
    if ((fruitless >= 2)); then
        rm -f "$file"
        say "error: ended with status $status, twice without progress: this needs more time or memory, or a look at the log"
        return
    fi
    printf '%s\n' "$fruitless" >"$file"
    say "not finished (status $status): job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID" && exit 0
    say "error: Slurm does not requeue it: submit it again, and it goes on"
}

# The words that run a command in each task of this job, if there are several.
set_launcher() {
    # shellcheck disable=SC2034 # the scripts use it
    launcher=()
    if ((${SLURM_NTASKS:-1} > 1)); then
        # shellcheck disable=SC2034
        launcher=(srun --ntasks="$SLURM_NTASKS" ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"})
    fi
}

# The words that run a command on copies of its stores: on_scratch STORE... -- COMMAND {}
set_on_scratch() {
    local IFS=:
    [[ ! ${WITHOUT_SCRATCH-} ]] || SCRATCH=()
    export IMAGESTORE_SCRATCH="${SCRATCH[*]}"
    # shellcheck disable=SC2034 # the scripts use it
    on_scratch=("$checkout/jobs/on_scratch.py")
}

# Tell pipeline.sh that a step is done.
mark_done() {
    [[ ! -d $out/pipeline/done ]] || date +%FT%T >"$out/pipeline/done/$1"
}

# The file for --json-summary, where pipeline.sh keeps them.
summary_flags() { # STEP
    # shellcheck disable=SC2034 # the scripts use it
    summary=()
    # shellcheck disable=SC2034
    [[ ! -d $out/pipeline/summaries ]] || summary=(--json-summary "$out/pipeline/summaries/$1.json")
}
