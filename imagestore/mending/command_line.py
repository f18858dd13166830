"""The commands `mv`, `rm`, `add` and `rename-label` of h5vfs.py: their arguments, and the calls.

Nothing slow is imported before a command runs.
"""

from __future__ import annotations

import argparse

from imagestore.arguments import fraction, given_path
from imagestore.run_summary import RunSummary, add_json_summary

MV_EPILOG = """\
examples:
  ./h5vfs.py mv train.h5 yellow/image_0721.jpg orange/
  ./h5vfs.py mv train.h5 'dark-*/image_07*' green/ --dry-run
  ./h5vfs.py mv train.h5 --from answers.csv --min-confidence 0.9
"""
RM_EPILOG = """\
example:
  ./h5vfs.py rm train.h5 yellow/image_0721.jpg 'grey/scan*'
"""
ADD_EPILOG = """\
example:
  ./h5vfs.py add train.h5 new/*.jpg yellow/
"""
RENAME_EPILOG = """\
example:
  ./h5vfs.py rename-label train.h5 grey silver
"""


def add_mending(tools: argparse._SubParsersAction) -> None:
    """Add the commands that correct a store."""
    for add_command in (_add_mv, _add_rm, _add_add, _add_rename_label):
        command = add_command(tools)
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        command.add_argument(
            "--dry-run", action="store_true", help="print what would be done, and write nothing"
        )
        add_json_summary(command)
        command.set_defaults(summary=RunSummary(has_line=False))  # MendReport prints the result


def _add_mv(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    usage = "%(prog)s [options] FILE.h5 {PATH [PATH ...] LABEL/ | --from FILE.csv}"
    command = tools.add_parser("mv", help="give images another label", epilog=MV_EPILOG, usage=usage)
    _add_store(command)
    command.add_argument(
        "words", nargs="*", metavar="PATH ... LABEL/", help="paths, names or globs of images, then the label"
    )
    command.add_argument(
        "--from",
        dest="table",
        type=given_path,
        metavar="FILE.csv",
        help="take names and labels from a table, such as `classify.py --csv` writes",
    )
    command.add_argument(
        "--min-confidence", type=fraction, metavar="X", help="with --from: only rows that are so sure, 0 to 1"
    )
    command.add_argument("--name-column", metavar="TITLE", help="with --from: the column of the names")
    command.add_argument("--label-column", metavar="TITLE", help="with --from: the column of the labels")
    command.set_defaults(run=_run_mv, parser=command)
    return command


def _run_mv(arguments: argparse.Namespace) -> int:
    of_table = (arguments.min_confidence, arguments.name_column, arguments.label_column)
    if arguments.table is not None and arguments.words:
        arguments.parser.error("--from takes names and labels from the table: leave PATH and LABEL/ out")
    if arguments.table is None and len(arguments.words) < 2:
        arguments.parser.error("expected FILE.h5, PATH and LABEL/, or FILE.h5 and --from FILE.csv")
    if arguments.table is None and of_table != (None, None, None):
        arguments.parser.error("--min-confidence, --name-column and --label-column go with --from")
    from imagestore.mending.relabel import relabel, relabel_by_table
    from imagestore.mending.table_of_labels import TableOptions

    how = (arguments.dry_run, arguments.summary)
    if arguments.table is None:
        *paths, label = arguments.words
        return relabel(arguments.file, paths, label, *how)
    min_confidence, name_column, label_column = of_table
    options = TableOptions(name_column=name_column, label_column=label_column, min_confidence=min_confidence)
    return relabel_by_table(arguments.file, arguments.table, options, *how)


def _add_rm(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    command = tools.add_parser("rm", help="remove images", epilog=RM_EPILOG)
    _add_store(command)
    command.add_argument("words", nargs="+", metavar="PATH", help="paths, names or globs of images")
    command.set_defaults(run=_run_rm)
    return command


def _run_rm(arguments: argparse.Namespace) -> int:
    from imagestore.mending.remove import remove

    return remove(arguments.file, arguments.words, arguments.dry_run, arguments.summary)


def _add_add(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    command = tools.add_parser("add", help="add image files", epilog=ADD_EPILOG)
    _add_store(command)
    command.add_argument("words", nargs="+", metavar="IMAGE", help="image files, or quoted globs")
    command.add_argument("label", metavar="LABEL/", help="the label of all of them")
    command.add_argument("--again", action="store_true", help="add images too that were removed by hand")
    command.add_argument("--no-palette", action="store_true", help="keep no colours with the images")
    command.set_defaults(run=_run_add)
    return command


def _run_add(arguments: argparse.Namespace) -> int:
    from imagestore.mending.add import add

    return add(
        arguments.file,
        arguments.words,
        arguments.label,
        arguments.summary,
        again=arguments.again,
        keeps_palettes=not arguments.no_palette,
        dry_run=arguments.dry_run,
    )


def _add_rename_label(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    command = tools.add_parser(
        "rename-label", help="give all images of a label another one", epilog=RENAME_EPILOG
    )
    _add_store(command)
    command.add_argument("old", metavar="OLD", help="the label that they have")
    command.add_argument("new", metavar="NEW", help="the label that they get")
    command.set_defaults(run=_run_rename_label)
    return command


def _run_rename_label(arguments: argparse.Namespace) -> int:
    from imagestore.mending.relabel import rename_label

    return rename_label(arguments.file, arguments.old, arguments.new, arguments.dry_run, arguments.summary)


def _add_store(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=given_path, metavar="FILE.h5")
