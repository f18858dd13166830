#!/usr/bin/env python3
"""Name the dominant colours of images in an archive, and store the images under those names in one HDF5 file.

./colourHeuristic.py sort      TARFILE OUTPUT.h5 COUNT CHUNK        add COUNT random new images
./colourHeuristic.py partition TARFILE TRAIN.h5 TEST.h5 FRACTION    put each image into one of two files
./colourHeuristic.py merge     OUTPUT.h5 STORE.h5...                join stores into one
./colourHeuristic.py identify  SOURCE NAME                          the 3 most dominant colours
./colourHeuristic.py show      SOURCE NAME                          a picture of an image and its colours
./colourHeuristic.py summary   STORE.h5                             how many images there are of each label
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # `python -I` leaves it out

    from imagestore.environment import check_python

    check_python()  # before the other imports, which an old Python cannot read

    from imagestore.processes import let_interrupts_end_python

    let_interrupts_end_python()  # before the other imports, which take a moment

import argparse
from typing import TYPE_CHECKING

from imagestore import console
from imagestore.arguments import (
    ENVIRONMENT,
    AnyOrderParser,
    add_follow_external,
    add_ignore_zeros,
    add_version,
    fraction,
    given_path,
    positive,
)
from imagestore.run_summary import add_json_summary, summarised

if TYPE_CHECKING:
    from imagestore.labelling.sort_and_partition import RunOptions

# Labelling is parallel by processes; threads of the linear algebra library would only compete with them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


EPILOG = f"""\
examples:
  ./colourHeuristic.py partition photos.tgz train.h5 test.h5 0.8                  colours as labels
  ./colourHeuristic.py partition photos.zip train.h5 test.h5 0.8 --labels folder  folders as labels
  ./colourHeuristic.py sort photos.tgz some.h5 64 8                               64 images, 8 from each place
  ./colourHeuristic.py show train.h5                                              a sheet of all labels
  ./colourHeuristic.py COMMAND --help                                             the options of a command

{ENVIRONMENT}"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="colourHeuristic.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=AnyOrderParser
    )
    for add_command in (_add_sort, _add_partition, _add_merge, _add_identify, _add_show, _add_summary):
        add_command(commands)
    return parser


# ----- sort and partition -----


def _add_sort(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("sort", help="add random new images of an archive to a store")
    _add_archive(command)
    _add_output(command)
    command.add_argument("count", metavar="COUNT", type=positive, help="images to add in all")
    command.add_argument(
        "chunk", metavar="CHUNK", type=positive, help="neighbours taken from each random place"
    )
    _add_labelling_options(command)
    command.set_defaults(run=_run_sort)


def _run_sort(arguments: argparse.Namespace) -> int:
    from imagestore.labelling.sort_and_partition import sort

    options = _labelling_options(arguments)
    return sort(arguments.archives, arguments.output, arguments.count, arguments.chunk, options)


def _add_partition(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("partition", help="put each image of an archive into one of two stores")
    _add_archive(command)
    command.add_argument("train", metavar="TRAIN.h5", type=given_path, help="store of the training images")
    command.add_argument("test", metavar="TEST.h5", type=given_path, help="store of the test images")
    command.add_argument(
        "fraction", metavar="FRACTION", type=fraction, help="share of images for training, 0 to 1"
    )
    _add_labelling_options(command)
    command.add_argument(
        "--split",
        metavar="FILE",
        type=given_path,
        help="CSV file with the columns name and split (train, val, test), or setid.mat: it decides for the "
        "images that it names, and FRACTION for the others",
    )
    command.set_defaults(run=_run_partition)


def _run_partition(arguments: argparse.Namespace) -> int:
    from imagestore.labelling.sort_and_partition import partition

    options = _labelling_options(arguments)
    return partition(arguments.archives, arguments.train, arguments.test, arguments.fraction, options)


def _add_labelling_options(command: argparse.ArgumentParser) -> None:
    command.epilog = ENVIRONMENT
    command.add_argument(
        "--seed", type=int, help="makes the random choice the same in all runs with this number"
    )
    command.add_argument(
        "--workers",
        type=positive,
        help="number of labelling processes (default: one for each CPU that you may use)",
    )
    command.add_argument(
        "--shard",
        metavar="K/N|auto",
        type=shard,
        help="label only share K of N; auto takes K and N from the Slurm array job",
    )
    _add_again(command)
    _add_label_source(command)
    _add_archive_options(command)
    add_json_summary(command)
    command.set_defaults(parser=command)


def _add_label_source(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("labels")
    group.add_argument(
        "--labels",
        metavar="WHAT",
        default="colour",
        help="colour (the default), folder (that holds the image), source (what the collection says), "
        "or a file: .csv, .tsv, .json, .mat, .h5",
    )
    group.add_argument(
        "--label-key",
        metavar="KEY",
        help="what the collection calls the label (default: the first of label, class, cls); "
        "for --labels source",
    )
    group.add_argument("--name-column", metavar="TITLE", help="column of the names in a CSV file")
    group.add_argument(
        "--label-column",
        metavar="TITLE",
        help="column of the labels, variable of a .mat file, or array of a .h5 file",
    )
    group.add_argument(
        "--class-names", metavar="FILE", type=given_path, help="names of labels that are numbers"
    )
    group.add_argument(
        "--unlabelled",
        metavar="LABEL",
        help="the label of images that have none (default: they are left out)",
    )
    group.add_argument(
        "--no-palette",
        action="store_true",
        help="keep no colours with the images, and decode none (not with --labels colour)",
    )


def _labelling_options(arguments: argparse.Namespace) -> "RunOptions":
    from imagestore.labelling.label_sources import LabelOptions
    from imagestore.labelling.sort_and_partition import RunOptions

    _check_label_flags(arguments)
    label_options = LabelOptions(
        labels=arguments.labels,
        label_key=arguments.label_key,
        name_column=arguments.name_column,
        label_column=arguments.label_column,
        class_names=arguments.class_names,
        unlabelled=arguments.unlabelled,
    )
    return RunOptions(
        seed=arguments.seed,
        workers=arguments.workers,
        shard=arguments.shard,
        index=arguments.index,
        ignore_zeros=arguments.ignore_zeros,
        label_options=label_options,
        keeps_palettes=not arguments.no_palette,
        split=getattr(arguments, "split", None),
        summary=arguments.summary,
        again=arguments.again,
    )


def _check_label_flags(arguments: argparse.Namespace) -> None:
    """End with exit status 2 if a flag has no meaning for the labels that are asked for."""
    from imagestore.labelling.label_sources import COLOUR, KINDS, SOURCE

    if arguments.no_palette and arguments.labels == COLOUR:
        arguments.parser.error("--no-palette decodes no image: say with --labels where the labels come from")
    if arguments.label_key is not None and arguments.labels != SOURCE:
        arguments.parser.error("--label-key goes with --labels source")
    for flag in ("class_names", "unlabelled"):
        if getattr(arguments, flag) is not None and arguments.labels == COLOUR:
            arguments.parser.error(f"--{flag.replace('_', '-')} goes with other --labels than colours")
    if arguments.label_column is not None and arguments.labels in KINDS:
        arguments.parser.error("--label-column goes with --labels FILE")
    has_table = arguments.labels not in KINDS or getattr(arguments, "split", None) is not None
    if arguments.name_column is not None and not has_table:
        arguments.parser.error("--name-column goes with --labels FILE or --split FILE")


def shard(text: str) -> tuple[int, int]:
    """Parse K/N, or `auto` for the place of this task in its Slurm array job."""
    if text == "auto":
        return _slurm_shard()
    k, _, n = text.partition("/")
    if not (k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with K from 1 to N, nor 'auto'")
    return int(k), int(n)


def _slurm_shard() -> tuple[int, int]:
    try:
        task, count = int(os.environ["SLURM_ARRAY_TASK_ID"]), int(os.environ["SLURM_ARRAY_TASK_COUNT"])
        first = int(os.environ.get("SLURM_ARRAY_TASK_MIN", "1"))
        step = int(os.environ.get("SLURM_ARRAY_TASK_STEP", "1"))
        k = (task - first) // step + 1
    except (KeyError, ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            "'auto' needs a Slurm array job (sbatch --array); without one, give K/N"
        ) from None
    if not 1 <= k <= count:
        raise argparse.ArgumentTypeError(
            f"array task {task} is not one of the {count} tasks that begin at {first}; give K/N"
        )
    return k, count


# ----- merge -----


def _add_merge(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("merge", help="join stores into one")
    _add_output(command)
    _add_stores(command)
    _add_again(command)
    add_json_summary(command)
    command.set_defaults(run=_run_merge)


def _run_merge(arguments: argparse.Namespace) -> int:
    from imagestore.labelling.merge import merge

    return merge(arguments.output, arguments.stores, arguments.again, arguments.summary)


# ----- identify, show and summary -----


def _add_identify(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("identify", help="print the 3 most dominant colours of images")
    _add_source(command)
    command.add_argument("names", metavar="NAME", nargs="*", help="member, path in the store, or quoted glob")
    command.add_argument("--all", action="store_true", help="all images of SOURCE")
    command.add_argument("--json", action="store_true", help="print one JSON object per line")
    _add_archive_options(command)
    add_follow_external(command)
    command.set_defaults(run=_run_identify)


def _run_identify(arguments: argparse.Namespace) -> int:
    from imagestore.reports.identify import identify

    return identify(
        arguments.source,
        arguments.names,
        all_images=arguments.all,
        as_json=arguments.json,
        index=arguments.index,
        ignore_zeros=arguments.ignore_zeros,
        follow_external=arguments.follow_external,
    )


def _add_show(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("show", help="show an image beside its colours, or a store's labels")
    _add_source(command)
    command.add_argument(
        "name", metavar="NAME", nargs="?", help="member or path (default: a sheet of the store's labels)"
    )
    command.add_argument(
        "-o", "--output", metavar="FILE.png", type=given_path, help="write the picture instead of opening it"
    )
    _add_archive_options(command)
    add_follow_external(command)
    command.set_defaults(run=_run_show)


def _run_show(arguments: argparse.Namespace) -> int:
    from imagestore.reports.show import show

    return show(
        arguments.source,
        arguments.name,
        output=arguments.output,
        index=arguments.index,
        ignore_zeros=arguments.ignore_zeros,
        follow_external=arguments.follow_external,
    )


def _add_summary(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("summary", help="print the number of images of each label")
    _add_stores(command)
    command.add_argument(
        "--csv", action="store_true", help="print the whole table, with a line for each image"
    )
    add_follow_external(command)
    command.set_defaults(run=_run_summary)


def _run_summary(arguments: argparse.Namespace) -> int:
    from imagestore.reports.summary import summary

    return summary(arguments.stores, as_csv=arguments.csv, follow_external=arguments.follow_external)


# ----- arguments of several commands -----


def _add_archive(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "archives",
        metavar="TARFILE",
        nargs="+",
        type=given_path,
        help="archives (.tgz, .tar, .zip, …) or folders of images; also quoted globs, shard-{00..99}.tar",
    )


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("output", metavar="OUTPUT.h5", type=given_path, help="store to make or to add to")


def _add_again(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--again", action="store_true", help="add images too that were removed by hand (h5vfs.py rm)"
    )


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help="archive, store or image file")


def _add_stores(command: argparse.ArgumentParser) -> None:
    command.add_argument("stores", metavar="STORE.h5", nargs="+", help="stores, or quoted globs")


def _add_archive_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--index",
        metavar="FILE",
        type=given_path,
        help="where the archive's index is kept (default: in the user's cache folder)",
    )
    add_ignore_zeros(command)


def main() -> int:
    """Run the command; returns the exit status."""
    run = summarised("colourHeuristic", lambda arguments: arguments.run(arguments))
    return console.main("colourHeuristic", build_parser(), run)


if __name__ == "__main__":
    sys.exit(main())
