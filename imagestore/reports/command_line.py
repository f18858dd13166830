"""The commands `identify`, `show` and `summary` of colourHeuristic.py: their arguments, and the calls.

Nothing slow is imported before a command runs.
"""

from __future__ import annotations

import argparse

from imagestore.arguments import add_follow_external, add_stores, given_path
from imagestore.reports.source_options import add_source_options, source_options


def add_reports(commands: argparse._SubParsersAction) -> None:
    """Add the commands that tell what archives and stores hold."""
    for add_command in (_add_identify, _add_show, _add_summary):
        add_command(commands)


def _add_identify(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("identify", help="print the 3 most dominant colours of images")
    _add_source(command)
    command.add_argument("names", metavar="NAME", nargs="*", help="member, path in the store, or quoted glob")
    command.add_argument("--all", action="store_true", help="all images of SOURCE")
    command.add_argument("--json", action="store_true", help="print one JSON object per line")
    add_source_options(command)
    command.set_defaults(run=_run_identify)


def _run_identify(arguments: argparse.Namespace) -> int:
    from imagestore.reports.identify import identify

    return identify(
        arguments.source,
        arguments.names,
        all_images=arguments.all,
        as_json=arguments.json,
        options=source_options(arguments),
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
    add_source_options(command)
    command.set_defaults(run=_run_show)


def _run_show(arguments: argparse.Namespace) -> int:
    from imagestore.reports.show import show

    return show(arguments.source, arguments.name, output=arguments.output, options=source_options(arguments))


def _add_summary(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("summary", help="print the number of images of each label")
    add_stores(command)
    command.add_argument(
        "--csv", action="store_true", help="print the whole table, with a line for each image"
    )
    add_follow_external(command)
    command.set_defaults(run=_run_summary)


def _run_summary(arguments: argparse.Namespace) -> int:
    from imagestore.reports.summary import summary

    return summary(arguments.stores, as_csv=arguments.csv, follow_external=arguments.follow_external)


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help="archive, store or image file")
