"""The images of an HDF5 file that holds them as bytes: StoreRows. A store of this suite is such a file."""

from __future__ import annotations

from collections.abc import Iterator

from imagestore import stored_names
from imagestore.archive.members import SourceLabels
from imagestore.archive.protocol import DamagedArchive
from imagestore.console import UserError, counted, first_line, note, printable
from imagestore.store.labels import StoreLabels
from imagestore.store.reader import ImageStore, StoreError
from imagestore.tables.row_archive import Row
from imagestore.tables.store_labels import LabelsOfImages

NAMES_SHOWN = 5


class StoreRows:
    """The images of a store, in the order of their bytes.

    An image has the name that it had in its archive, or else its path in the file. store_labels.py tells its
    label.
    """

    def __init__(
        self, store: ImageStore, found: StoreLabels, inner: str, labels: SourceLabels | None
    ) -> None:
        """Take over an open store. Only images below the path `inner` count. Raises UserError."""
        self._store, self.name = store, inner
        self._positions = [
            i for i in store.positions_by_offset() if found.is_counted[i] and self._is_below(store.path_of(i))
        ]
        if inner and not self._positions:
            raise UserError(f"{store.path}: there is no image at {printable(inner)!r}")
        if text := found.left_out_text():
            note(f"{store.path}: {text}")
        self._labels = LabelsOfImages(store, found, self._positions, labels) if labels else None

    def _is_below(self, path: str) -> bool:
        return not self.name or path == self.name or path.startswith(f"{self.name}/")

    def __iter__(self) -> Iterator[Row]:
        """See Rows."""
        broken: dict[str, str] = {}  # why each image cannot be read
        for i in self._positions:
            try:
                data = self._store.read(i)
            except StoreError as error:
                broken[printable(self._store.path_of(i))] = first_line(error.__cause__ or error)
                continue
            yield Row(i, self._name(i), data, self._labels.of(i) if self._labels else None)
        if broken:
            more = ", …" if len(broken) > NAMES_SHOWN else ""
            raise DamagedArchive(
                f"{self._store.path} is not whole: {counted(len(broken), 'image')} cannot be read: "
                f"{', '.join(list(broken)[:NAMES_SHOWN])}{more} ({next(iter(broken.values()))})"
            )

    def _name(self, i: int) -> str:
        member = self._store.index.member(i)
        return stored_names.decode(member) if member else self._store.path_of(i)

    def read(self, place: int) -> bytes:
        """See Rows."""
        try:
            return self._store.read(place)
        except StoreError as error:
            raise UserError(str(error)) from error

    def close(self) -> None:
        """See Rows."""
        self._store.close()
