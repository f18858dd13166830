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
from imagestore.arguments import AnyOrderParser, add_follow_external, add_version, given_path, positive
from imagestore.processes import load_numpy_without_threads
from imagestore.shell_completion import offer_words, words_so_far

PROGRAM = "h5vfs"
TOOLS = ("pack", "unpack", "ls", "cat", "attrs", "verify", "mv", "rm", "add", "rename-label")
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


def tools_parser() -> argparse.ArgumentParser:
    """The parser of the commands that mount nothing."""
    from imagestore.mending.command_line import add_mending
    from imagestore.tools.command_line import add_tools

    parser = argparse.ArgumentParser(prog=PROGRAM)
    tools = parser.add_subparsers(dest="tool", required=True, parser_class=AnyOrderParser)
    add_tools(tools)
    add_mending(tools)
    return parser


def use_tool(arguments: argparse.Namespace) -> int:
    """Run the chosen command."""
    load_numpy_without_threads()
    return arguments.run(arguments)


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
        from imagestore.run_summary import summarised

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
