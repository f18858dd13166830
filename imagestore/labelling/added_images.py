"""The images that a run has added, so that those of a wrong archive can be taken back."""

from __future__ import annotations

from array import array
from bisect import bisect_left

from imagestore.archive.members import Member
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter


class AddedImages:
    """Adds images to stores, in the order of their positions in the source, and notes which they are."""

    def __init__(self) -> None:
        self._positions: dict[StoreWriter, array[int]] = {}  # of the images that were added to each store
        self._wrong: range = range(0)  # positions of images that were taken back; some are still to come

    def add(self, writer: StoreWriter, member: Member, image: ImageRecord, data: bytes) -> None:
        """Add an image, unless it was taken back before it came. Raises DiskFull, OSError."""
        if member.position in self._wrong:
            return
        if writer.add(image, data):
            self._positions.setdefault(writer, array("q")).append(member.position)

    def take_back(self, first: int, end: int) -> None:
        """Remove the images with the positions from `first` to before `end`: the last that were added.

        Those that are still to come are left out.
        """
        self._wrong = range(first, end)
        for writer, positions in self._positions.items():
            kept = bisect_left(positions, first)
            writer.take_back(len(positions) - kept)
            del positions[kept:]
