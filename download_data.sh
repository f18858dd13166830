#!/usr/bin/env bash
# Fetch an archive of flower photographs into a folder, and check that it is the right one.
#
#   ./download_data.sh DIR                    the 102 category flowers (8,189 images, 345 MB)
#   ./download_data.sh --labels DIR           with their species (imagelabels.mat) and splits (setid.mat)
#   ./download_data.sh --dataset 17 DIR       the 17 category flowers (1,360 images, 60 MB)
#   ./download_data.sh --url URL --md5 SUM DIR
#
# It resumes a broken download, leaves a good file alone, and replaces a bad one. A file gets its final
# name when its checksum is right; until then it is NAME.part. Two runs at once are safe: the second
# waits for the first, then finds the finished file.
set -euo pipefail

readonly SITE=https://www.robots.ox.ac.uk/~vgg/data/flowers
readonly FRUITLESS=4                  # it gives up after so many attempts in a row without a byte
readonly PAUSE=${DOWNLOAD_PAUSE:-3}   # seconds between two attempts
readonly STALLED=60                   # seconds without a byte that end an attempt

usage() {
    cat <<'TEXT'
usage: download_data.sh [--dataset 17|102] [--labels] [--url URL --md5 SUM] DIR

Fetch the Oxford flower photographs into DIR, resume a broken download, verify its checksum.

  --dataset 17|102   which of the two data sets (default: 102)
  --labels           fetch imagelabels.mat and setid.mat, too: the species and the split of each image of 102
  --url URL          fetch this file instead; needs --md5
  --md5 SUM          what its MD5 must be; 'none' takes the file unverified
  -h, --help         show this text

The path of each file is printed on standard output, everything else on standard error.
TEXT
}

note() { printf 'download_data: %s\n' "$*" >&2; }
fail() { note "error: $*"; exit 1; }
wrong_arguments() { note "error: $* (--help shows how)"; exit 2; }

# Set dir and files: two words for each file, its address and its checksum (or 'none').
parse_arguments() {
    local dataset=102 url='' sum='' labels=''
    dir='' files=()
    while (($#)); do
        case $1 in
            -h | --help) usage; exit 0 ;;
            --dataset=* | --url=* | --md5=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
            --dataset | --url | --md5)
                (($# > 1)) || wrong_arguments "$1 needs a value"
                case $1 in --dataset) dataset=$2 ;; --url) url=$2 ;; --md5) sum=$2 ;; esac
                shift ;;
            --labels) labels=yes ;;
            -*) wrong_arguments "no such option: $1" ;;
            *) [[ -z $dir ]] || wrong_arguments "one DIR, not two: $dir, $1"; dir=$1 ;;
        esac
        shift
    done
    [[ -n $dir ]] || wrong_arguments "which folder? DIR is missing"
    choose_archive "$dataset" "$url" "$sum"
    [[ -z $labels ]] || choose_labels "$dataset" "$url"
}

choose_archive() {
    local dataset=$1 url=$2 sum=$3 known
    if [[ -n $url ]]; then
        [[ -n $sum ]] || wrong_arguments "--url needs --md5 (or --md5 none, to take it unverified)"
    else
        case $dataset in
            102) known=52808999861908f626f3c1f4e79d11fa ;;
            17) known=b59a65d8d1a99cd66944d474e1289eab ;;
            *) wrong_arguments "--dataset is 17 or 102, not $dataset" ;;
        esac
        url=$SITE/$dataset/${dataset}flowers.tgz
        sum=${sum:-$known}
    fi
    sum=$(tr '[:upper:]' '[:lower:]' <<<"$sum")
    [[ $sum == none || $sum =~ ^[0-9a-f]{32}$ ]] || wrong_arguments "no MD5 sum: $sum"
    [[ $url == *://*/* && ! $(name_in "$url") =~ ^\.?\.?$ ]] || wrong_arguments "no file is named by $url"
    files+=("$url" "$sum")
}

# The sums are those of torchvision's Flowers102.
choose_labels() {
    [[ -z $2 ]] || wrong_arguments "--labels goes with the 102 flowers, not with --url"
    [[ $1 == 102 ]] || wrong_arguments "--labels goes with the 102 flowers: images 1 to 80 of the 17 flowers are" \
        "the first species, 81 to 160 the second, and so on"
    files+=("$SITE/102/imagelabels.mat" e0620be6f572b9609742df49c70aed4d)
    files+=("$SITE/102/setid.mat" a5357ecc9cb78c4bef273ce3793fc85c)
}

# Print the name of the file at an address.
name_in() {
    local name=${1%%[?#]*}
    printf '%s\n' "${name##*/}"
}

# Print the MD5 of a file, by the program that this system has.
md5_of() {
    if command -v md5sum >/dev/null; then
        md5sum <"$1" | cut -d ' ' -f 1
    elif command -v md5 >/dev/null; then
        md5 -q "$1"
    else
        openssl md5 -r "$1" | cut -d ' ' -f 1
    fi
}

is_good() { [[ -s $1 ]] && [[ $expected == none || $(md5_of "$1") == "$expected" ]]; }

size_of() { wc -c <"$1" | tr -d ' '; }

# Try once to fetch the rest of the file. Set trouble to the reason for a failure, in words, else to nothing.
# Return 0 after a whole transfer, 1 after one that broke off, 2 if another attempt cannot help.
fetch() {
    if command -v curl >/dev/null; then fetch_with_curl; else fetch_with_wget; fi
}

fetch_with_curl() {
    local status=0 code progress=(--silent)
    [[ -t 2 ]] && progress=(--progress-bar)
    code=$(curl "${progress[@]}" --fail --location --continue-at - --output "$part" --write-out '%{http_code}' \
        --connect-timeout "$STALLED" --speed-limit 1 --speed-time "$STALLED" -- "$url") || status=$?
    trouble="curl exit status $status"
    case $status in
        0) trouble='' ; return 0 ;;
        3) trouble="that is no address"; return 2 ;;
        6) trouble="no such host, or no network" ;;
        7) trouble="the server cannot be reached" ;;
        18 | 28 | 52 | 56) trouble="the connection broke off" ;;
        22) trouble="the server answered $code"; [[ $code == 429 || $code == 5?? ]] || return 2 ;;
        23) trouble="$part cannot be written: is the disk full?"; return 2 ;;
        33 | 36) trouble="the server cannot resume"; return 2 ;;
        60) trouble="the server's certificate cannot be verified"; return 2 ;;
    esac
    return 1
}

fetch_with_wget() {
    local status=0 progress=(--quiet)
    [[ -t 2 ]] && progress+=(--show-progress)
    wget "${progress[@]}" --continue --output-document="$part" --tries=1 --timeout="$STALLED" -- "$url" || status=$?
    trouble="wget exit status $status"
    case $status in
        0) trouble=''; return 0 ;;
        2) trouble="that is no address"; return 2 ;;
        3) trouble="$part cannot be written: is the disk full?"; return 2 ;;
        4) trouble="the server cannot be reached, or the connection broke off" ;;
        5) trouble="the server's certificate cannot be verified"; return 2 ;;
        8) trouble="the server answered with an error: is there such a file?"; return 2 ;;
    esac
    return 1
}

# Fetch until $part is good. If an older part leads to a failure (it comes from another file, or the server
# cannot resume), start once more from the first byte.
download() {
    local fruitless=0 before status
    while ((fruitless < FRUITLESS)); do
        before=$(size_of "$part")
        status=0
        fetch || status=$?
        if ((status == 0)) && is_good "$part"; then return 0; fi
        if ((status != 1 && before > 0)); then
            note "${trouble:-its checksum is wrong}: starting again from the first byte"
            : >"$part"
            continue
        fi
        ((status == 0)) && reject
        ((status == 2)) && break
        if (($(size_of "$part") > before)); then fruitless=0; else fruitless=$((fruitless + 1)); fi
        note "$trouble at $(size_of "$part") bytes: trying again"
        sleep "$PAUSE"
    done
    give_up
}

reject() {
    local found
    found=$(md5_of "$part")
    rm -f "$part"
    fail "what $url sends has the MD5 $found, not $expected: it was removed"
}

give_up() {
    if [[ -s $part ]]; then
        fail "$url: $trouble; run the same command again to go on from here"
    fi
    rm -f "$part"
    fail "$url: $trouble"
}

# Lock $part until release_part, or until this process and its download program end.
hold_part() {
    while :; do
        { exec 9>>"$part"; } 2>/dev/null || fail "$part cannot be written"
        if ! command -v flock >/dev/null || ! take_lock; then
            hold_by_folder
            return
        fi
        # While this process waited, another may have published the part under its final name.
        [[ $part -ef /dev/fd/9 ]] && return
    done
}

# Return 1 if the file system has no locks, such as Lustre mounted without them.
take_lock() {
    flock --nonblock --conflict-exit-code 75 9 2>/dev/null && return
    (($? == 75)) || return 1
    note "another download of $name is running: waiting for it"
    flock 9
}

hold_by_folder() {
    mkdir "$part.lock" 2>/dev/null || fail "another download is running (if none is: rmdir $part.lock)"
    locked_folder=$part.lock
    trap release_part EXIT
}

release_part() {
    exec 9>&-
    [[ -z $locked_folder ]] || rmdir "$locked_folder"
    locked_folder=''
}

# Fetch the file at an address with a checksum (or 'none'), unless it is there already.
get() {
    url=$1 expected=$2 name=$(name_in "$1")
    file=${dir%/}/$name
    part=$file.part
    [[ ! -d $file ]] || fail "$file is a folder"
    if is_good "$file"; then
        note "$file is there and good"
        printf '%s\n' "$file"
        return
    fi
    hold_part
    if is_good "$file"; then
        rm -f "$part"
    else
        [[ ! -e $file ]] || note "$file has the wrong checksum: fetching it again"
        { [[ $expected != none ]] && is_good "$part"; } || download
        mv -f "$part" "$file"
    fi
    release_part
    note "$file is complete${expected:+, MD5 $expected}"
    printf '%s\n' "$file"
}

main() {
    parse_arguments "$@"
    command -v curl >/dev/null || command -v wget >/dev/null || fail "curl or wget is needed: install one of them"
    mkdir -p "$dir" 2>/dev/null || fail "$dir cannot be made: is it a file, or the disk read-only?"
    locked_folder=''
    local i
    for ((i = 0; i < ${#files[@]}; i += 2)); do
        get "${files[i]}" "${files[i + 1]}"
    done
}

main "$@"
