"""One image of a store, an archive or a folder, or an image file: its name, bytes, label and palette."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from imagestore.archive.members import Member
from imagestore.archive.protocol import Archive
from imagestore.colour.colour_names import all_labels
from imagestore.colour.label import label_of
from imagestore.colour.palette import Palette, find_palette
from imagestore.store.reader import ImageStore


class FoundImage(ABC):
    """An image that was found. Its store or archive must be open while it is read."""

    name: str  # the member's name, or the path in the store

    @abstractmethod
    def read(self) -> bytes:
        """The encoded bytes. Raises OSError or UserError."""

    def label_and_palette(self) -> tuple[str, Palette]:
        """The colour label and the palette. Raises NotAnImage, and what `read` raises."""
        palette = find_palette(self.read())
        return label_of(palette), palette


@dataclass(frozen=True)
class ImageFile(FoundImage):
    """An image file that is no part of an archive."""

    name: str
    path: Path

    def read(self) -> bytes:
        """See FoundImage."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class StreamedImage(FoundImage):
    """An image of an archive or a folder that is read from its beginning to its end."""

    name: str
    data: bytes

    def read(self) -> bytes:
        """See FoundImage."""
        return self.data


@dataclass(frozen=True)
class ArchiveImage(FoundImage):
    """An image of an archive or a folder, looked up by its name."""

    name: str
    archive: Archive
    member: Member

    def read(self) -> bytes:
        """See FoundImage."""
        return self.archive.read(self.member)


@dataclass(frozen=True)
class StoreImage(FoundImage):
    """An image of a store."""

    name: str
    store: ImageStore
    position: int
    label: str | None  # None if the store has none for this image

    def read(self) -> bytes:
        """See FoundImage."""
        return self.store.read(self.position)

    def label_and_palette(self) -> tuple[str, Palette]:
        """The palette as it is stored, with the store's label if that is a colour label.

        If a palette without colours is stored, the palette is computed. If no palette is stored, both are
        computed; see FoundImage.
        """
        table = self.store.palette(self.position)
        if table is None:
            return super().label_and_palette()
        palette = Palette.from_table(table) if len(table) else find_palette(self.read())
        return (self.label if self.label in all_labels() else label_of(palette)), palette
