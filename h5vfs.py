#!/usr/bin/env python3
"""Show an image store as a folder: mount, list, unpack or verify it. Pack a folder, or correct a store."""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # `python -I` leaves it out

    from imagestore.environment import check_python

    check_python()  # before the other imports, which an old Python cannot read

    from imagestore.processes import let_interrupts_end_python

    let_interrupts_end_python()  # before the other imports, which take a moment

import argparse
from collections.abc import Sequence
from pathlib import Path

from imagestore import console
from imagestore.arguments import AnyOrderParser, add_version, given_path, positive, positive_size
from imagestore.mending.command_line import MENDING, add_mending, mend
from imagestore.processes import load_numpy_without_threads
from imagestore.run_summary import add_json_summary, summarised
from imagestore.shell_completion import offer_words, words_so_far
from imagestore.tools.data_set_formats import FORMATS, SHARD_SIZE

PROGRAM = "h5vfs"
TOOLS = ("pack", "unpack", "ls", "cat", "attrs", "verify", *MENDING)
EPILOG = """\
examples:
  ./h5vfs.py flowers.h5 /tmp/$USER/mnt              mount in the background
  ./h5vfs.py -u /tmp/$USER/mnt                      unmount (or: fusermount3 -u /tmp/$USER/mnt)
  ./h5vfs.py train.h5 test.h5 mnt                   several stores as one tree
  ./h5vfs.py flowers.h5 mnt -- python train.py mnt  mount, run, unmount; exits with the command's status

without mounting (each has its own --help):
  ./h5vfs.py ls FILE.h5 [PATH]                      list the files in it
  ./h5vfs.py cat FILE.h5 PATH                       write one file to standard output
  ./h5vfs.py attrs FILE.h5 [PATH]                   print the attributes of a group or a file
  ./h5vfs.py verify FILE.h5...                      read all images, compare their checksums
  ./h5vfs.py unpack FILE.h5... FOLDER               copy all files to a plain folder
  ./h5vfs.py unpack --format parquet FILE.h5 FOLDER the images and labels for other tools
  ./h5vfs.py pack FOLDER FILE.h5                    make a store from a folder

correcting a store by hand (each has its own --help):
  ./h5vfs.py mv FILE.h5 PATH... LABEL/              give images another label
  ./h5vfs.py rm FILE.h5 PATH...                     remove images
  ./h5vfs.py add FILE.h5 IMAGE... LABEL/            add image files
  ./h5vfs.py rename-label FILE.h5 OLD NEW           give all images of a label another one
"""


class MountParser(argparse.ArgumentParser):
    """A parser that takes options between the files and the mountpoint too: `h5vfs.py a.h5 -f mnt`."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: None = None) -> argparse.Namespace:  # type: ignore[override]
        """Parse positional arguments and options in any order. Too few paths end with exit status 2."""
        arguments = self.parse_intermixed_args(args, namespace)
        if arguments.unmount and not arguments.paths:
            self.error("expected MOUNTPOINT")
        if not (arguments.list or arguments.unmount) and len(arguments.paths) < 2:
            self.error("expected FILE.h5 and MOUNTPOINT")
        return arguments


def mount_parser() -> argparse.ArgumentParser:
    """The parser of `h5vfs.py FILE.h5... MOUNTPOINT`."""
    parser = MountParser(
        prog=PROGRAM,
        usage="%(prog)s [options] FILE.h5 [FILE.h5 ...] MOUNTPOINT [-- COMMAND ...]\n"
        "       %(prog)s {-u MOUNTPOINT | --list | pack | unpack | ls | cat | attrs | verify}\n"
        "       %(prog)s {mv | rm | add | rename-label}",
        description="Show image stores, or any HDF5 files, as a read-only folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    paths = parser.add_argument(
        "paths",
        nargs="*",
        type=given_path,
        metavar="FILE.h5 ... MOUNTPOINT",
        help="files or quoted globs, then a folder",
    )
    offer_words(paths, TOOLS)
    add_version(parser)
    ending = parser.add_argument_group("mounts that are there")
    ending.add_argument("-u", "--unmount", action="store_true", help="unmount MOUNTPOINT")
    ending.add_argument("--lazy", action="store_true", help="with -u: also while it is in use")
    ending.add_argument("--list", action="store_true", help="list your mounts")
    _add_what_is_shown(parser.add_argument_group("what is shown"))
    _add_how_it_is_served(parser.add_argument_group("how it is served"))
    return parser


def _add_what_is_shown(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--side-by-side", action="store_true", help="a folder for each file, in place of one merged tree"
    )
    group.add_argument(
        "--follow", action="store_true", help="if another file replaces a mounted one, show that (slower)"
    )
    add_follow_external(group)


def _add_how_it_is_served(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-f", "--foreground", action="store_true", help="stay in the foreground")
    group.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="OPTION,...",
        help="FUSE options: allow_other, uid=…",
    )
    group.add_argument(
        "--idle-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="unmount after so many seconds without a request",
    )
    group.add_argument(
        "--processes",
        type=positive,
        default=os.environ.get("IMAGESTORE_PROCESSES") or None,
        metavar="N",
        help="serve with so many processes (default: $IMAGESTORE_PROCESSES, or the CPUs, at most 4)",
    )
    group.add_argument(
        "--library",
        choices=("fusepy", "mfusepy"),
        default=os.environ.get("IMAGESTORE_FUSE") or None,
        help="FUSE package (default: $IMAGESTORE_FUSE, otherwise mfusepy if libfuse 3 is installed)",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


def add_follow_external(parser: argparse.ArgumentParser) -> None:
    """Add the flag --follow-external."""
    parser.add_argument(
        "--follow-external",
        action="store_true",
        help="follow HDF5 links into other files, and read datasets whose bytes are in other files",
    )


def tools_parser() -> argparse.ArgumentParser:
    """The parser of the commands that mount nothing."""
    parser = argparse.ArgumentParser(prog=PROGRAM)
    tools = parser.add_subparsers(dest="tool", required=True, parser_class=AnyOrderParser)
    pack = tools.add_parser("pack", help="make a store from a folder")
    pack.add_argument("folder", type=given_path, metavar="FOLDER")
    pack.add_argument("output", type=given_path, metavar="FILE.h5")
    pack.add_argument(
        "-L",
        "--dereference",
        action="store_true",
        help="pack the files that links out of the folder lead to",
    )
    unpack = tools.add_parser("unpack", help="copy all files to a plain folder")
    unpack.add_argument("paths", nargs="+", metavar="FILE.h5")
    unpack.add_argument("folder", type=given_path, metavar="FOLDER")
    add_follow_external(unpack)
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
    for tool in (pack, unpack):
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
    listing = tools.add_parser("ls", help="list the files in a store")
    listing.add_argument("file", metavar="FILE.h5")
    listing.add_argument("path", nargs="?", default="/", metavar="PATH")
    listing.add_argument("-l", "--long", action="store_true", help="show modes, sizes and times too")
    cat = tools.add_parser("cat", help="write one file to standard output")
    cat.add_argument("file", metavar="FILE.h5")
    cat.add_argument("path", metavar="PATH")
    attrs = tools.add_parser("attrs", help="print the attributes of a group or a file, of any length")
    attrs.add_argument("file", metavar="FILE.h5")
    attrs.add_argument("path", nargs="?", default="/", metavar="PATH")
    attrs.add_argument("--json", action="store_true", help="print one JSON object")
    verify = tools.add_parser("verify", help="read all images, compare their checksums")
    verify.add_argument("paths", nargs="+", metavar="FILE.h5")
    for tool in (pack, unpack, verify):
        add_json_summary(tool)
    for tool in (listing, cat, attrs, verify):
        add_follow_external(tool)
    add_mending(tools)
    return parser


def use_tool(arguments: argparse.Namespace) -> int:
    """Run the chosen tool."""
    load_numpy_without_threads()
    if arguments.tool in MENDING:
        return mend(arguments)
    if arguments.tool == "pack":
        from imagestore.tools.pack import pack

        globs = (arguments.include, arguments.exclude)
        return pack(arguments.folder, arguments.output, *globs, arguments.dereference, arguments.summary)
    if arguments.tool == "unpack":
        globs = (arguments.include, arguments.exclude)
        copy = (arguments.paths, arguments.folder, *globs, arguments.follow_external, arguments.summary)
        if arguments.format is None:
            from imagestore.tools.unpack import unpack

            return unpack(*copy)
        from imagestore.tools.unpack_images import unpack_images

        return unpack_images(*copy, kind=arguments.format, shard_size=arguments.shard_size)
    if arguments.tool == "ls":
        from imagestore.tools.ls import ls

        return ls([arguments.file], arguments.path, arguments.long, arguments.follow_external)
    if arguments.tool == "cat":
        from imagestore.tools.cat import cat

        return cat([arguments.file], arguments.path, arguments.follow_external)
    if arguments.tool == "attrs":
        from imagestore.tools.attrs import attrs

        return attrs(arguments.file, arguments.path, arguments.json, arguments.follow_external)
    from imagestore.tools.verify import verify

    return verify(arguments.paths, arguments.follow_external, arguments.summary)


def use_mount(arguments: argparse.Namespace, command: list[str]) -> int:
    """List mounts, unmount, or mount."""
    if arguments.list:
        return list_mounts()
    if arguments.unmount:
        return unmount(arguments.paths, arguments.lazy)
    return mount(arguments, command)


def list_mounts() -> int:
    """Print the mounts of this user."""
    from imagestore.mount import mount_table

    for mounted in mount_table.user_mounts():
        print(f"{mounted.mountpoint}  {mounted.stores}{'  (crashed)' if mounted.is_crashed() else ''}")
    return 0


def unmount(mountpoints: Sequence[Path], lazy: bool) -> int:
    """Unmount one mountpoint after the other."""
    from imagestore.mount import mount_table

    for mountpoint in mountpoints:
        mount_table.unmount(_without_links(mountpoint), lazy=lazy)
    return 0


def mount(arguments: argparse.Namespace, command: list[str]) -> int:
    """Mount in the background, in the foreground, or for the length of a command."""
    load_numpy_without_threads()
    from imagestore.mount.mount import mount_for_command, mount_in_background, mount_in_foreground
    from imagestore.mount.mount_settings import MountSettings

    *stores, mountpoint = arguments.paths
    settings = MountSettings(
        stores=stores,
        mountpoint=_without_links(mountpoint),
        fuse_options=[option for options in arguments.options for option in options.split(",")],
        side_by_side=arguments.side_by_side,
        show_replacements=arguments.follow,
        follow_external=arguments.follow_external,
        idle_timeout=arguments.idle_timeout,
        fuse_package=arguments.library,
        processes=arguments.processes,
    )
    if command:
        return mount_for_command(settings, command)
    return mount_in_foreground(settings) if arguments.foreground else mount_in_background(settings)


def _without_links(path: Path) -> Path:
    """The absolute path without symbolic links, as the kernel lists it, even if a crashed mount is there."""
    return Path(os.path.realpath(path))


def main(argv: Sequence[str] | None = None) -> int:
    """Run h5vfs.py with `argv`, by default the arguments of this process; returns the exit status."""
    words = words_so_far() or list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in TOOLS:
        return console.main(PROGRAM, tools_parser(), summarised(PROGRAM, use_tool), words)
    parser = mount_parser()
    command: list[str] = []
    if "--" in words:
        dashes = words.index("--")
        words, command = words[:dashes], words[dashes + 1 :]
        if not command:
            parser.error("no command after --")
    return console.main(PROGRAM, parser, lambda arguments: use_mount(arguments, command), words)


if __name__ == "__main__":
    sys.exit(main())
