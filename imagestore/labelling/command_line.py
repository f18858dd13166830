"""The commands `sort`, `partition` and `merge` of colourHeuristic.py: their arguments, and the calls.

Nothing slow is imported before a command runs.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from imagestore.arguments import (
    ENVIRONMENT,
    add_archive_options,
    add_follow_external,
    add_stores,
    fraction,
    given_path,
    positive,
)
from imagestore.labelling.shard_of_task import shard
from imagestore.run_summary import add_json_summary

if TYPE_CHECKING:
    from imagestore.labelling.labelling_run import RunOptions


def add_labelling(commands: argparse._SubParsersAction) -> None:
    """Add the commands that write stores."""
    for add_command in (_add_sort, _add_partition, _add_merge):
        add_command(commands)


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
        help="number of labelling processes, and the most that decompress archives; with 1, none does "
        "(default: one for each CPU that you may use)",
    )
    command.add_argument(
        "--shard",
        metavar="K/N|auto",
        type=shard,
        help="label only share K of N; auto takes K and N from the Slurm array job",
    )
    _add_again(command)
    _add_label_source(command)
    add_archive_options(command)
    add_follow_external(command)
    add_json_summary(command)
    command.set_defaults(parser=command)


def _add_label_source(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("labels")
    group.add_argument(
        "--labels",
        metavar="WHAT",
        default="colour",
        help="colour (the default), folder (that holds the image), source (what the collection says), "
        "or a file: .csv, .tsv, .json, .jsonl, .mat, .h5",
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


def _labelling_options(arguments: argparse.Namespace) -> RunOptions:
    from imagestore.labelling.label_sources import LabelOptions
    from imagestore.labelling.labelling_run import RunOptions

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
        follow_external=arguments.follow_external,
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


def _add_merge(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("merge", help="join stores into one")
    _add_output(command)
    add_stores(command)
    _add_again(command)
    add_json_summary(command)
    command.set_defaults(run=_run_merge)


def _run_merge(arguments: argparse.Namespace) -> int:
    from imagestore.labelling.merge import merge

    return merge(arguments.output, arguments.stores, arguments.again, arguments.summary)


def _add_archive(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "archives",
        metavar="ARCHIVE",
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
