#!/usr/bin/env python3
"""Put the images of an archive into one HDF5 file, each under a label: by default, its dominant colour.

./colourHeuristic.py sort      ARCHIVE OUTPUT.h5 COUNT CHUNK        add COUNT random new images
./colourHeuristic.py partition ARCHIVE TRAIN.h5 TEST.h5 FRACTION    put each image into one of two files
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

from imagestore import console
from imagestore.arguments import ENVIRONMENT, AnyOrderParser, add_version
from imagestore.labelling.command_line import add_labelling
from imagestore.reports.command_line import add_reports
from imagestore.run_summary import summarised

# Labelling is parallel by processes; threads of the linear algebra library would only compete with them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

PROGRAM = "colourHeuristic"
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
        prog=PROGRAM,
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=AnyOrderParser
    )
    add_labelling(commands)
    add_reports(commands)
    return parser


def main() -> int:
    """Run the command; returns the exit status."""
    run = summarised(PROGRAM, lambda arguments: arguments.run(arguments))
    return console.main(PROGRAM, build_parser(), run)


if __name__ == "__main__":
    sys.exit(main())
