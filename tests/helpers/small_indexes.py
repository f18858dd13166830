"""Indexes of a few images."""

from __future__ import annotations

from imagestore.store.index import StoreIndex
from imagestore.store.index_builder import IndexBuilder
from imagestore.store.record import ImageRecord


def index_of(*images: ImageRecord) -> StoreIndex:
    """The index of these images; their offsets are 0, 1, 2, …"""
    builder = IndexBuilder()
    for offset, image in enumerate(images):
        builder.add(image, offset)
    return builder.build()


def small_image(label: bytes, name: bytes) -> ImageRecord:
    """An image of one byte."""
    return ImageRecord(label=label, name=name, size=1)
