"""Take the metadata out of an encoded image before a decoder reads it, so that no damage in it matters."""

from __future__ import annotations

from imagestore import image_formats
from imagestore.decode import heif_boxes, icon, jpeg_structure, png_chunks, tiff_directory, webp_chunks
from imagestore.decode.without_metadata import WithoutMetadata

SEPARATORS = {  # by Pillow's name of the format
    "JPEG": jpeg_structure.separate_metadata,
    "PNG": png_chunks.separate_metadata,
    "WEBP": webp_chunks.separate_metadata,
    "TIFF": tiff_directory.separate_metadata,
    "AVIF": heif_boxes.separate_metadata,
    "HEIF": heif_boxes.separate_metadata,
    "ICO": icon.separate_metadata,
}


def separate_metadata(data: bytes) -> WithoutMetadata:
    """What decoders read of an encoded image, and its EXIF and XMP blocks."""
    row = image_formats.format_of(data)
    separate = SEPARATORS.get(row.name) if row else None
    return separate(data) if separate else WithoutMetadata(data)
