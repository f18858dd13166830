"""The images of a Parquet file, as the Hugging Face hub has them: ParquetRows.

A row group is read in batches, so the memory does not grow with the file. To read a single row, its row group
is read up to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.archive.label_text import text_of
from imagestore.archive.members import SourceLabels
from imagestore.archive.protocol import DamagedArchive
from imagestore.console import UserError, did_you_mean, first_line, printable
from imagestore.image_formats import FIRST_BYTES, begins_as_image, suffix_of
from imagestore.printed_commands import command_line, path_argument, pip_install
from imagestore.tables.parquet_columns import (
    BYTES,
    PATH,
    class_names,
    features_of,
    find_label_column,
    is_image_feature,
    may_hold_images,
)
from imagestore.tables.row_archive import Row

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

BATCH_ROWS = 64
BUFFER = 1 << 20  # bytes of a column that are read at once
FEWEST_DIGITS = 6  # of a row's number in its name


class ParquetRows:
    """The rows of one column of images. Everything runs in the calling thread."""

    def __init__(self, path: Path, descriptor: int, column: str, labels: SourceLabels | None) -> None:
        """Open the file. `column` names the column of the images; "" finds it. Raises UserError."""
        self._path = path
        self._file = _open(path, descriptor)
        schema = self._file.schema_arrow
        self._column = _image_column(path, self._file, column)
        self.name = self._column
        self._labels = find_label_column(path, schema, labels)
        self._class_names = class_names(schema, self._labels) if self._labels else []
        metadata = self._file.metadata
        groups = range(metadata.num_row_groups)
        self._ends = list(accumulate(metadata.row_group(group).num_rows for group in groups))
        self._digits = max(FEWEST_DIGITS, len(str(metadata.num_rows)))
        self._reader = _Reader(self._file, self._column)

    def __iter__(self) -> Iterator[Row]:
        """See Rows."""
        columns = [self._column, *([self._labels] if self._labels else [])]
        place = 0
        try:
            for batch in _batches(self._file, range(len(self._ends)), columns):
                names, contents = _images_in(batch.column(self._column))
                labels = self._labels_in(batch)
                for name, data, label in zip(names, contents, labels, strict=True):
                    yield Row(place, name or self._number(place, data), data, label)
                    place += 1
        except _errors_of_arrow() as error:
            raise DamagedArchive(
                f"{self._path} is damaged behind row {place:,} ({first_line(error)}): "
                "download or copy it again"
            ) from error

    def _number(self, place: int, data: bytes | None) -> str:
        return f"{place:0{self._digits}d}{suffix_of(data or b'')}"

    def _labels_in(self, batch: pyarrow.RecordBatch) -> list[str | None]:
        """The labels of a batch; -1 stands for none where classes have names."""
        if self._labels is None:
            return [None] * batch.num_rows
        values, names = batch.column(self._labels).to_pylist(), self._class_names
        if not names:
            return [text_of(value) for value in values]
        return [
            names[value] if isinstance(value, int) and 0 <= value < len(names) else None for value in values
        ]

    def read(self, place: int) -> bytes:
        """See Rows."""
        group = bisect_right(self._ends, place)
        start = self._ends[group - 1] if group else 0
        try:
            return self._reader.read(group, place - start)
        except _errors_of_arrow() as error:
            raise UserError(f"{self._path} is damaged at row {place:,} ({first_line(error)})") from error

    def close(self) -> None:
        """See Rows."""
        self._reader.close()
        self._file.close(force=True)


class _Reader:
    """Reads single images. It goes on from the row before, if the next one is behind it in the same group."""

    def __init__(self, file: ParquetFile, column: str) -> None:
        self._file, self._column = file, column
        self.close()

    def read(self, group: int, row: int) -> bytes:
        """The image in a row of a row group."""
        if group != self._group or row < self._first:
            self.close()
            self._group, self._batches = group, _batches(self._file, [group], [self._column])
        while row >= self._first + len(self._images):
            self._first += len(self._images)
            self._images = next(self._batches).column(self._column)
        _, contents = _images_in(self._images.slice(row - self._first, 1))
        return contents[0] or b""

    def close(self) -> None:
        """Forget the batch that was read last."""
        self._group, self._first, self._images = -1, 0, ()
        self._batches: Iterator[pyarrow.RecordBatch] = iter(())


def _open(path: Path, descriptor: int) -> ParquetFile:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(f"{path}: Parquet files need pyarrow: {pip_install('pyarrow')}") from None
    opened = Path(f"/proc/self/fd/{descriptor}")  # the open file, even if another file takes its name
    try:
        source = pyarrow.OSFile(str(opened if opened.exists() else path))
        return parquet.ParquetFile(
            source, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True
        )
    except _errors_of_arrow() as error:
        raise UserError(
            f"{path} is a Parquet file that is damaged, or was cut short ({first_line(error)}): "
            "download or copy it again"
        ) from error


def _errors_of_arrow() -> tuple[type[Exception], ...]:
    from pyarrow import ArrowException

    return (ArrowException, OSError, ValueError, KeyError)


def _batches(
    file: ParquetFile, groups: range | list[int], columns: list[str]
) -> Iterator[pyarrow.RecordBatch]:
    for group in groups:
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False)


def _images_in(column: pyarrow.Array) -> tuple[list[str | None], list[bytes | None]]:
    """The names of the images in a column (None where it has none), and their bytes (None where null)."""
    from pyarrow import types

    if not types.is_struct(column.type):
        return [None] * len(column), column.to_pylist()
    values = column.to_pylist()
    return (
        [value.get(PATH) if value else None for value in values],
        [value[BYTES] if value else None for value in values],
    )


def _image_column(path: Path, file: ParquetFile, named: str) -> str:
    """The column that holds images. Raises UserError if there is none, or if there are several."""
    features = features_of(file.schema_arrow)
    fields = [field for field in file.schema_arrow if may_hold_images(field)]
    if named:
        names = [field.name for field in fields]
        if named not in names:
            others = printable(", ".join(names)) or "none"
            hint = did_you_mean(named, names) or f"; columns of bytes: {others}"
            raise UserError(f"{path} has no column {printable(named)!r} of images{hint}")
        return named
    found = [field.name for field in fields if is_image_feature(features.get(field.name))]
    found = found or [field.name for field in fields if _begins_with_image(path, file, field.name)]
    if len(found) == 1:
        return found[0]
    if not found and not file.metadata.num_rows:
        raise UserError(f"{path} has no rows")
    if not found:
        columns = printable(", ".join(file.schema_arrow.names))
        raise UserError(f"{path} has no column with the bytes of images; its columns: {columns}")
    choices = " or ".join(command_line(path_argument(f"{path}:/{name}")) for name in found)
    raise UserError(f"{path} has {len(found)} columns of images: give one of them, as {choices}")


def _begins_with_image(path: Path, file: ParquetFile, column: str) -> bool:
    """Whether the first bytes in a column are those of an image."""
    try:
        for batch in _batches(file, range(file.metadata.num_row_groups), [column]):
            for data in _images_in(batch.column(column))[1]:
                if data:
                    return begins_as_image(data[:FIRST_BYTES])
    except _errors_of_arrow() as error:
        raise UserError(f"{path} is damaged ({first_line(error)}): download or copy it again") from error
    return False
