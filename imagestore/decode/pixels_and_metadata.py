"""Keep metadata away from decoders, so that no damage in it matters, and read it apart from the pixels."""

from __future__ import annotations

from imagestore import image_formats
from imagestore.decode import heif_boxes, icon, jpeg_structure, png_chunks, tiff_directory, webp_chunks
from imagestore.decode.metadata import Metadata

PIXELS_ONLY = {  # by Pillow's name of the format
    "JPEG": jpeg_structure.pixels_only,
    "PNG": png_chunks.pixels_only,
    "WEBP": webp_chunks.pixels_only,
    "TIFF": tiff_directory.pixels_only,
    "AVIF": heif_boxes.pixels_only,
    "HEIF": heif_boxes.pixels_only,
    "ICO": icon.pixels_only,
}
READ_METADATA = {
    "JPEG": jpeg_structure.read_metadata,
    "PNG": png_chunks.read_metadata,
    "WEBP": webp_chunks.read_metadata,
    "TIFF": tiff_directory.read_metadata,
}


def pixels_only(data: bytes) -> bytes:
    """What a decoder needs of an encoded image. Where nothing is to be left out, `data` itself."""
    row = image_formats.format_of(data)
    reduce = PIXELS_ONLY.get(row.name) if row else None
    return reduce(data) if reduce else data


def read_metadata(data: bytes) -> Metadata:
    """The EXIF and XMP blocks of an encoded image, of the formats whose structure is known here."""
    row = image_formats.format_of(data)
    read = READ_METADATA.get(row.name) if row else None
    return read(data) if read else Metadata()
