"""The commands of h5vfs.py that need no mount and correct nothing: their arguments, and the calls.

Nothing slow is imported before a command runs.
"""

from __future__ import annotations

import argparse

from imagestore.arguments import add_follow_external, given_path, positive_size
from imagestore.run_summary import add_json_summary
from imagestore.tools.data_set_formats import FORMATS, SHARD_SIZE


def add_tools(tools: argparse._SubParsersAction) -> None:
    """Add the commands."""
    pack, unpack = _add_pack(tools), _add_unpack(tools)
    for tool in (pack, unpack):
        _add_globs(tool)
    listing, cat, attrs, verify = _add_ls(tools), _add_cat(tools), _add_attrs(tools), _add_verify(tools)
    for tool in (pack, unpack, verify):
        add_json_summary(tool)
    for tool in (unpack, listing, cat, attrs, verify):
        add_follow_external(tool)


def _add_pack(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    pack = tools.add_parser("pack", help="make a store from a folder")
    pack.add_argument("folder", type=given_path, metavar="FOLDER")
    pack.add_argument("output", type=given_path, metavar="FILE.h5")
    pack.add_argument(
        "-L",
        "--dereference",
        action="store_true",
        help="pack the files that links out of the folder lead to",
    )
    pack.set_defaults(run=_run_pack)
    return pack


def _run_pack(arguments: argparse.Namespace) -> int:
    from imagestore.tools.pack import pack

    globs = (arguments.include, arguments.exclude)
    return pack(arguments.folder, arguments.output, *globs, arguments.dereference, arguments.summary)


def _add_unpack(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    unpack = tools.add_parser("unpack", help="copy all files to a plain folder")
    unpack.add_argument("paths", nargs="+", metavar="FILE.h5")
    unpack.add_argument("folder", type=given_path, metavar="FOLDER")
    unpack.add_argument(
        "--format",
        choices=FORMATS,
        help="write the images and their labels as a data set of this kind, into a new folder",
    )
    unpack.add_argument(
        "--shard-size",
        type=positive_size,
        default=SHARD_SIZE,
        metavar="SIZE",
        help="bytes of images in a shard of webdataset or parquet, at most (default: 500M)",
    )
    unpack.set_defaults(run=_run_unpack)
    return unpack


def _run_unpack(arguments: argparse.Namespace) -> int:
    globs = (arguments.include, arguments.exclude)
    copy = (arguments.paths, arguments.folder, *globs, arguments.follow_external, arguments.summary)
    if arguments.format is None:
        from imagestore.tools.unpack import unpack

        return unpack(*copy)
    from imagestore.tools.unpack_images import unpack_images

    return unpack_images(*copy, kind=arguments.format, shard_size=arguments.shard_size)


def _add_globs(tool: argparse.ArgumentParser) -> None:
    tool.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="GLOB",
        help="take only these files (may be repeated)",
    )
    tool.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out these files (may be repeated)",
    )


def _add_ls(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    listing = tools.add_parser("ls", help="list the files in a store")
    listing.add_argument("file", metavar="FILE.h5")
    listing.add_argument("path", nargs="?", default="/", metavar="PATH")
    listing.add_argument("-l", "--long", action="store_true", help="show modes, sizes and times too")
    listing.set_defaults(run=_run_ls)
    return listing


def _run_ls(arguments: argparse.Namespace) -> int:
    from imagestore.tools.ls import ls

    return ls([arguments.file], arguments.path, arguments.long, arguments.follow_external)


def _add_cat(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    cat = tools.add_parser("cat", help="write one file to standard output")
    cat.add_argument("file", metavar="FILE.h5")
    cat.add_argument("path", metavar="PATH")
    cat.set_defaults(run=_run_cat)
    return cat


def _run_cat(arguments: argparse.Namespace) -> int:
    from imagestore.tools.cat import cat

    return cat([arguments.file], arguments.path, arguments.follow_external)


def _add_attrs(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    attrs = tools.add_parser("attrs", help="print the attributes of a group or a file, of any length")
    attrs.add_argument("file", metavar="FILE.h5")
    attrs.add_argument("path", nargs="?", default="/", metavar="PATH")
    attrs.add_argument("--json", action="store_true", help="print one JSON object")
    attrs.set_defaults(run=_run_attrs)
    return attrs


def _run_attrs(arguments: argparse.Namespace) -> int:
    from imagestore.tools.attrs import attrs

    return attrs(arguments.file, arguments.path, arguments.json, arguments.follow_external)


def _add_verify(tools: argparse._SubParsersAction) -> argparse.ArgumentParser:
    verify = tools.add_parser("verify", help="read all images, compare their checksums")
    verify.add_argument("paths", nargs="+", metavar="FILE.h5")
    verify.set_defaults(run=_run_verify)
    return verify


def _run_verify(arguments: argparse.Namespace) -> int:
    from imagestore.tools.verify import verify

    return verify(arguments.paths, arguments.follow_external, arguments.summary)
