"""Whether a file has several pictures one after another, of which the first is decoded."""

from __future__ import annotations

import contextlib
import io

from PIL import Image

HEAD = 1 << 20  # bytes in which a JPEG says that more pictures follow
SEVERAL_FRAMES = "Multi-Frame"  # in Pillow's names of the kinds of pictures of an MPO (CIPA DC-007, 5.2.3.3)


def has_several_frames(data: bytes, image: Image.Image) -> bool:
    """`data` is the file, `image` what was opened of it, with or without its metadata.

    Pages count, and so do the views of a stereo camera. Layers, sizes of an icon, thumbnails and gain maps
    are no frames.
    """
    with contextlib.suppress(Exception):  # damage behind the first frame does not matter
        match image.format:
            case "JPEG":
                is_announced = "mp" in image.info or (len(data) > HEAD and data.find(b"MPF\0", 0, HEAD) >= 0)
                return is_announced and _has_several_views(data)
            case "PNG":  # the first frame is no fdAT
                return data.find(b"acTL", 0, data.find(b"IDAT")) >= 0 and b"fdAT" in data
            case "WEBP":
                return data.count(b"ANMF") > 1
            case "GIF":
                return Image.open(io.BytesIO(data), formats=["GIF"]).is_animated
            case "TIFF" | "AVIF" | "HEIF":
                return image.is_animated
    return False


def _has_several_views(data: bytes) -> bool:
    jpeg = Image.open(io.BytesIO(data), formats=["JPEG"])
    if jpeg.format != "MPO":
        return False
    kinds = [entry["Attribute"]["MPType"] for entry in jpeg.mpinfo[0xB002]]
    return sum(kind.startswith(SEVERAL_FRAMES) for kind in kinds) > 1
