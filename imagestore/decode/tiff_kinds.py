"""Kinds of grey TIFF that Pillow's decoders can read, although its table of kinds leaves them out.

A kind is the byte order, the PhotometricInterpretation, the SampleFormat, the FillOrder, the bits of each
sample, and the kinds of extra samples (`PIL.TiffImagePlugin.OPEN_INFO`).
"""

from __future__ import annotations

II, MM = b"II", b"MM"  # the byte orders
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
RAW_MODES = {  # sample format, bits -> Pillow's mode, and how the file has it in each byte order
    (UNSIGNED, 12): ("I;16", {II: "I;12", MM: "I;12"}),
    (UNSIGNED, 16): ("I;16", {II: "I;16", MM: "I;16B"}),
    (SIGNED, 16): ("I", {II: "I;16S", MM: "I;16BS"}),
    (UNSIGNED, 32): ("I", {II: "I;32", MM: "I;32B"}),
    (SIGNED, 32): ("I", {II: "I;32S", MM: "I;32BS"}),
    (FLOAT, 32): ("F", {II: "F;32F", MM: "F;32BF"}),
    (FLOAT, 64): ("F", {II: "F;64F", MM: "F;64BF"}),
}


def add_kinds() -> None:
    """Have Pillow open these kinds too; the kinds that it knows stay as they are."""
    from PIL.TiffImagePlugin import OPEN_INFO  # takes a moment, and most archives hold no TIFF

    for (sample_format, bits), (mode, raw_modes) in RAW_MODES.items():
        for order, raw_mode in raw_modes.items():
            for photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
                kind = (order, photometric, (sample_format,), 1, (bits,), ())
                OPEN_INFO.setdefault(kind, (mode, raw_mode))
