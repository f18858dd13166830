"""Write images as the Hugging Face hub has them: Parquet files with the columns `image` and `label`.

    train-00000-of-00002.parquet: image: struct<bytes, path>, label: int64

The schema has the key `huggingface` with the types of the columns and the names of the labels. See
https://huggingface.co/docs/datasets/about_dataset_features.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore import stored_names
from imagestore.tools.labelled_images import ImageList, LabelledImage
from imagestore.vfs import shown_names

if TYPE_CHECKING:
    import pyarrow

ROW_GROUP_BYTES, ROW_GROUP_ROWS = 16 << 20, 1000  # at most: readers hold a whole row group


def write_parquet(
    folder: Path,
    lists: Sequence[ImageList],
    labels: Sequence[str],
    shard_size: int,
    on_image: Callable[[], object],
) -> None:
    """Write the images of all lists, in a random order. Raises OSError."""
    from pyarrow import parquet

    number_of, schema = {label: number for number, label in enumerate(labels)}, _schema(labels)
    for images in lists:
        shards = images.shuffled().shards(shard_size)
        for number, part in enumerate(shards):
            path = folder / f"{images.name}-{number:05}-of-{len(shards):05}.parquet"
            with path.open("xb") as file:
                with parquet.ParquetWriter(file, schema, compression="NONE", use_dictionary=False) as writer:
                    for rows in _row_groups(part.read(on_image)):
                        writer.write_table(_table(rows, number_of, schema))
                file.flush()
                os.fsync(file.fileno())


def _schema(labels: Sequence[str]) -> pyarrow.Schema:
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    classes = {"names": list(labels), "_type": "ClassLabel"}
    description = json.dumps({"info": {"features": {"image": {"_type": "Image"}, "label": classes}}})
    return pa.schema([("image", image), ("label", pa.int64())], {"huggingface": description})


def _row_groups(images: Iterator[LabelledImage]) -> Iterator[list[LabelledImage]]:
    rows: list[LabelledImage] = []
    size = 0
    for image in images:
        rows.append(image)
        size += len(image.data)
        if size >= ROW_GROUP_BYTES or len(rows) == ROW_GROUP_ROWS:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _table(
    rows: Sequence[LabelledImage], number_of: Mapping[str, int], schema: pyarrow.Schema
) -> pyarrow.Table:
    import pyarrow as pa

    images = [{"bytes": image.data, "path": _path(image)} for image in rows]
    labels = [None if image.label is None else number_of[image.label] for image in rows]
    return pa.Table.from_arrays(
        [pa.array(images, schema.field("image").type), pa.array(labels, pa.int64())], schema=schema
    )


def _path(image: LabelledImage) -> str:
    """The label and the name: the name alone may come twice."""
    label = [] if image.label is None else [shown_names.escape_text(stored_names.encode(image.label))]
    return b"/".join([*label, shown_names.escape(image.name)]).decode()
