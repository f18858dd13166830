"""Whether a file has several pictures one after another, of which the first is decoded."""

from __future__ import annotations

import contextlib
import io

from PIL import Image
from PIL.MpoImagePlugin import MpoImageFile

HEAD = 1 << 17  # bytes in which a JPEG says that more pictures follow
SEVERAL_FRAMES = "Multi-Frame"  # in Pillow's names of the kinds of pictures of an MPO (CIPA DC-007, 5.2.3.3)


def has_several_frames(data: bytes, image: Image.Image) -> bool:
    """`data` is the file, `image` what was opened of it.

    Pages count, and so do the views of a stereo camera. Layers, sizes of an icon, thumbnails and gain maps
    are no frames.
    """
    with contextlib.suppress(Exception):  # damage behind the first frame does not matter
        match image.format:
            case "JPEG" | "MPO":
                return data.find(b"MPF\0", 0, HEAD) >= 0 and _has_several_views(data)
            case "PNG":
                return (
                    b"acTL" in data[: data.find(b"IDAT")] and b"fdAT" in data
                )  # the first frame has no fdAT
            case "WEBP":
                return data.count(b"ANMF") > 1
            case "GIF":
                return Image.open(io.BytesIO(data), formats=["GIF"]).is_animated
            case "TIFF" | "AVIF" | "HEIF":
                return image.is_animated
    return False


def _has_several_views(data: bytes) -> bool:
    jpeg = Image.open(io.BytesIO(data), formats=["JPEG"])
    if not isinstance(jpeg, MpoImageFile):
        return False
    kinds = [entry["Attribute"]["MPType"] for entry in jpeg.mpinfo[0xB002]]
    return sum(kind.startswith(SEVERAL_FRAMES) for kind in kinds) > 1
