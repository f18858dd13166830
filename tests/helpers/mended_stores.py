"""Stores to correct by hand, the commands that do it, and what the stores hold afterwards."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import colourHeuristic
import h5vfs
from imagestore import console
from imagestore.store.corrections import corrections_of
from imagestore.store.reader import ImageStore
from tests.helpers.archives import pack
from tests.helpers.small_stores import COLOURS, picture

LABELS = list(COLOURS)
PHOTOS = [  # the name of each member ends in its number, its folder is its label
    (f"photos/{LABELS[i % 3]}/{i:02d}.jpg", picture(COLOURS[LABELS[i % 3]], i, (24, 16))) for i in range(12)
]
BY_FOLDER = ("--labels", "folder", "--no-palette")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


def mend(*arguments: object) -> Done:
    """`h5vfs.py ARGUMENTS`, in this process."""
    return _run(lambda words: h5vfs.main(words), arguments)


def heuristic(*arguments: object) -> Done:
    """`colourHeuristic.py ARGUMENTS`, in this process; it may decode no images, which needs workers."""
    parser = colourHeuristic.build_parser()
    return _run(
        lambda words: console.main("colourHeuristic", parser, lambda given: given.run(given), words),
        arguments,
    )


def _run(main, arguments: tuple[object, ...]) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as exit:  # of argparse
            status = exit.code
    return Done(status, out.getvalue(), err.getvalue())


def make_archive(path: Path) -> Path:
    """An archive of PHOTOS."""
    path.write_bytes(pack(PHOTOS))
    return path


def labels_of(*stores: Path) -> dict[str, str]:
    """The label (the group's name) of each image of some stores, by its member; each is there once."""
    found: dict[str, str] = {}
    for path in stores:
        with ImageStore(path, require_images=False) as store:
            for i in range(len(store)):
                member = (store.index.member(i) or store.index.name(i)).decode("utf-8", "surrogateescape")
                assert member not in found, member
                found[member] = store.path_of(i).rpartition("/")[0]
    return found


def bytes_of(*stores: Path) -> list[bytes]:
    """The bytes of all images of some stores, sorted."""
    found = []
    for path in stores:
        with ImageStore(path, require_images=False) as store:
            found += [store.read(i) for i in range(len(store))]
    return sorted(found)


def kept(path: Path) -> dict[str, tuple[str, str | None]]:
    """What a store keeps of corrections: member -> (what was done, the label by hand)."""
    with ImageStore(path, require_images=False) as store:
        found = corrections_of(store).values()
        return {correction.member.decode(): (correction.did, correction.label) for correction in found}
