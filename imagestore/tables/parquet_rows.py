"""The images of a Parquet file, as the Hugging Face hub has them: ParquetRows.

A row group is read in batches, so the memory does not grow with the file. To read a single row, its row group
is read up to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.archive.label_text import text_of
from imagestore.archive.members import SourceLabels
from imagestore.archive.protocol import DamagedArchive
from imagestore.console import UserError, first_line, printable
from imagestore.image_formats import FIRST_BYTES, begins_as_image, suffix_of
from imagestore.printed_commands import pip_install
from imagestore.tables.base64_images import begins_as_base64_image, decode_or_keep
from imagestore.tables.parquet_columns import BYTES, PATH, find_images, find_labels, is_image_of_hub, is_text
from imagestore.tables.parquet_fields import Field, class_names_of, fields_of, values_in
from imagestore.tables.row_archive import FEWEST_DIGITS, Row

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

BATCH_ROWS = 64
BUFFER = 1 << 20  # bytes of a column that are read at once
PLAIN, BASE64 = "plain", "base64"  # how bytes are coded
ROW_BITS = 40  # of a place: the number of the row; above it that of the image in the list of the row

Image = tuple[str | None, bytes | None]  # its path and its bytes; None if the row has none


class ParquetRows:
    """The images of one field. A list of images in a row gives several. All runs in the calling thread."""

    def __init__(self, path: Path, descriptor: int, column: str, labels: SourceLabels | None) -> None:
        """Open the file. `column` names the field of the images; "" finds it. Raises UserError."""
        self._path = path
        self._file = _open(path, descriptor)
        metadata, fields = self._file.metadata, fields_of(self._file.schema_arrow)
        if not metadata.num_rows:
            raise UserError(f"{path} has no rows")
        titles = self._file.schema_arrow.names
        if twice := next((title for title in titles if titles.count(title) > 1), None):
            raise UserError(f"{path} has two columns {printable(repr(twice))}: give them different names")

        codes: dict[tuple[str, ...], str | None] = {}  # by the path of a field

        def code_of(field: Field) -> str | None:
            if field.path not in codes:
                codes[field.path] = _code_of_images(path, self._file, field)
            return codes[field.path]

        def holds_images(field: Field) -> bool:
            return code_of(field) is not None

        self._images = find_images(path, fields, column, holds_images)
        self.name = self._images.name
        self._is_base64 = not is_image_of_hub(self._images) and code_of(self._images) == BASE64
        if is_text(self._images):  # no label then
            fields = [field for field in fields if field.path != self._images.path]
        self._labels = find_labels(path, fields, labels, holds_images)
        self._class_names = class_names_of(self._labels.feature) if self._labels else {}
        groups = range(metadata.num_row_groups)
        self._ends = list(accumulate(metadata.row_group(group).num_rows for group in groups))
        self._digits = max(FEWEST_DIGITS, len(str(metadata.num_rows)))
        self._reader = _Reader(self._file, self._images, self._is_base64)

    def __iter__(self) -> Iterator[Row]:
        """See Rows."""
        fields = [self._images, *([self._labels] if self._labels else [])]
        row = 0
        try:
            for batch in _batches(self._file, range(len(self._ends)), fields):
                labels = self._labels_in(batch)
                images_of_rows = _images_in(batch, self._images, self._is_base64)
                for images, label in zip(images_of_rows, labels, strict=True):
                    yield from self._images_of(row, images, label)
                    row += 1
        except _errors_of_arrow() as error:
            raise DamagedArchive(
                f"{self._path} is damaged behind row {row:,} ({first_line(error)}): download or copy it again"
            ) from error

    def _images_of(self, row: int, images: Sequence[Image], label: str | None) -> Iterator[Row]:
        for item, (name, data) in enumerate(images or [(None, None)]):
            number = f"{row:0{self._digits}d}" + (f"_{item}" if item else "")
            yield Row(item << ROW_BITS | row, name or f"{number}{suffix_of(data or b'')}", data, label)

    def _labels_in(self, batch: pyarrow.RecordBatch) -> list[str | None]:
        """The labels of a batch."""
        if self._labels is None:
            return [None] * batch.num_rows
        return [self._label(values) for values in _values_in(batch, self._labels)]

    def _label(self, values: list[object]) -> str | None:
        """The label of a row. -1 stands for none where classes have names; so do several in a list."""
        texts = {text_of(value): value for value in values if value is not None}
        text = next(iter(texts)) if len(texts) == 1 else None
        if not self._class_names or text is None or text in self._class_names:
            return self._class_names.get(text, text)
        return text if isinstance(texts[text], str) else None

    def read(self, place: int) -> bytes:
        """See Rows."""
        item, row = divmod(place, 1 << ROW_BITS)
        group = bisect_right(self._ends, row)
        start = self._ends[group - 1] if group else 0
        try:
            return self._reader.read(group, row - start, item)
        except (*_errors_of_arrow(), IndexError) as error:
            raise UserError(f"{self._path} is damaged at row {row:,} ({first_line(error)})") from error

    def close(self) -> None:
        """See Rows."""
        self._reader.close()
        self._file.close(force=True)


class _Reader:
    """Reads single images. It goes on from the row before, if the next one is behind it in the same group."""

    def __init__(self, file: ParquetFile, images: Field, is_base64: bool) -> None:
        self._file, self._images, self._is_base64 = file, images, is_base64
        self.close()

    def read(self, group: int, row: int, item: int) -> bytes:
        """An image in a row of a row group: the one with this number in its list."""
        if group != self._group or row < self._first:
            self.close()
            self._group, self._batches = group, _batches(self._file, [group], [self._images])
        while row >= self._first + self._count:
            self._first += self._count
            self._batch = next(self._batches)
            self._count = self._batch.num_rows
        (images,) = _images_in(self._batch.slice(row - self._first, 1), self._images, self._is_base64)
        return images[item][1] or b""

    def close(self) -> None:
        """Forget the batch that was read last."""
        self._group, self._first, self._count = -1, 0, 0
        self._batch: pyarrow.RecordBatch | None = None
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
    file: ParquetFile, groups: range | list[int], fields: Sequence[Field]
) -> Iterator[pyarrow.RecordBatch]:
    columns = list(dict.fromkeys(field.path[0] for field in fields))
    for group in groups:
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False)


def _values_in(batch: pyarrow.RecordBatch, field: Field) -> Iterator[list[object]]:
    """The values of a field in each row of a batch."""
    column, *path = field.path
    return (values_in(value, path) for value in batch.column(column).to_pylist())


def _images_in(batch: pyarrow.RecordBatch, field: Field, is_base64: bool) -> Iterator[list[Image]]:
    """The images in each row of a batch."""
    for values in _values_in(batch, field):
        images = [(v.get(PATH), v[BYTES]) if isinstance(v, dict) else (None, v) for v in values]
        yield [(name, decode_or_keep(data)) for name, data in images] if is_base64 else images


def _code_of_images(path: Path, file: ParquetFile, field: Field) -> str | None:
    """BASE64 or PLAIN, if one of the first values of a field begins so as an image does; else None."""
    values = _first_values(path, file, field)
    if any(isinstance(value, bytes) and begins_as_image(value[:FIRST_BYTES]) for value in values):
        return PLAIN
    return BASE64 if any(map(begins_as_base64_image, values)) else None


def _first_values(path: Path, file: ParquetFile, field: Field) -> list[str | bytes]:
    """The values of a field in the first batch that has some."""
    try:
        for batch in _batches(file, range(file.metadata.num_row_groups), [field]):
            if found := [data for images in _images_in(batch, field, False) for _, data in images if data]:
                return found
    except _errors_of_arrow() as error:
        raise UserError(f"{path} is damaged ({first_line(error)}): download or copy it again") from error
    return []
