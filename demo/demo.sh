#!/usr/bin/env bash
# From an archive of images to a mounted folder and a trained classifier, with the commands as a user types them.
#
#   make demo                      with a drawn archive
#   make demo ARCHIVE=photos.tgz   with an archive of yours
#   make mount-demo                without the training
set -euo pipefail
cd "$(dirname "$0")/.."

readonly OUTPUT=demo-output

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# Show a command as it is typed, then run it.
type_in() {
    printf '\n$ %s\n' "$*"
    "$@"
}

can_mount() {
    [[ -r /dev/fuse && -w /dev/fuse ]] &&
        python3 -c 'from ctypes.util import find_library as f; exit(not (f("fuse3") or f("fuse")))'
}

get_archive() {
    archive=${1:-$OUTPUT/flowers-${drawn[1]}.tgz}
    if (($#)); then
        [[ -e $archive ]] || { echo "demo: error: there is no $archive" >&2; exit 1; }
    elif [[ ! -e $archive ]]; then
        say 'An archive of flower-like pictures, so that nothing need be downloaded'
        type_in ./demo/draw_flowers.py "$archive" "${drawn[@]}"
    fi
}

label() {
    say 'Every image gets its colour as a label, and goes into one of two files'
    type_in ./colourHeuristic.py partition "$archive" "$OUTPUT/train.h5" "$OUTPUT/test.h5" 0.8
    type_in ./colourHeuristic.py summary "$OUTPUT/train.h5"

    say 'Or some of the images: 40 of them, in runs of 8 neighbours; once more, and there are 80'
    type_in ./colourHeuristic.py sort "$archive" "$OUTPUT/some.h5" 40 8
    type_in ./colourHeuristic.py sort "$archive" "$OUTPUT/some.h5" 40 8
    type_in ./colourHeuristic.py show "$OUTPUT/train.h5" -o "$OUTPUT/labels.png"
}

look_inside() {
    say 'The file, looked into as a folder'
    if ! can_mount; then
        echo 'No FUSE here (apt install fuse3 libfuse2, or a kernel without /dev/fuse): going on without the mount.'
        type_in ./h5vfs.py ls "$OUTPUT/test.h5"
        return
    fi
    mountpoint=$(mktemp -d "${TMPDIR:-/tmp}/imagestore-demo.XXXXXX")
    trap './h5vfs.py -u "$mountpoint" 2>/dev/null || true; rmdir "$mountpoint" 2>/dev/null || true' EXIT
    type_in ./h5vfs.py verify "$OUTPUT/test.h5"
    type_in ./h5vfs.py "$OUTPUT/test.h5" "$mountpoint"
    type_in ls "$mountpoint"
    local labels=("$mountpoint"/*)
    type_in ls -l "${labels[0]}"
    type_in ./h5vfs.py -u "$mountpoint"
    rmdir "$mountpoint" 2>/dev/null || true
    trap - EXIT
}

learn() {
    say 'A network learns the labels, and classifies images that it has never seen'
    type_in ./train_model.py "$OUTPUT/train.h5" -o "$OUTPUT"
    local command=(./classify.py "$OUTPUT/test.h5" "$OUTPUT/train_labels.json" 60 --plot "$OUTPUT/classified.png")
    printf '\n$ %s\n' "${command[*]}"
    "${command[@]}" | tee "$OUTPUT/classified.txt" | shorten
    type_in ./classify.py "$archive" "$OUTPUT/train_labels.json" 5
}

# The first lines of a long table, and its last two, where the accuracy is.
shorten() {
    awk 'NR <= 10 { print; next } { a = b; b = $0; rest++ }
         END { if (rest > 2) print "  …"; if (rest > 1) print a; if (rest) print b }'
}

report() {
    say 'Done'
    ((training)) && grep -i accuracy "$OUTPUT/classified.txt"
    echo 'Made:'
    ls -sh "$OUTPUT"
    echo "A picture to open: $OUTPUT/labels.png (some images of each label)"
    if ((training)); then
        echo "Another: $OUTPUT/classified.png (what the network says)"
    else
        echo 'Next: make demo, which trains a network on these labels (it installs PyTorch)'
    fi
}

training=1 drawn=(--count 400)
if [[ ${1-} == --without-training ]]; then
    training=0 drawn=(--count 150 --size 320) # a network needs more; these are enough to look at
    shift
fi
mkdir -p "$OUTPUT"
rm -f "$OUTPUT"/{train,test,some}.h5 "$OUTPUT"/{labels,classified}.png "$OUTPUT"/*.json "$OUTPUT"/*.pth
get_archive "$@"
label
look_inside
if ((training)); then learn; fi
report
