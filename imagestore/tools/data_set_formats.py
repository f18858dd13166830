"""The formats of data sets that `h5vfs.py unpack --format` writes. Imports nothing."""

from __future__ import annotations

IMAGEFOLDER, WEBDATASET, PARQUET = FORMATS = ("imagefolder", "webdataset", "parquet")
SHARD_SIZE = 500 << 20  # bytes of images
