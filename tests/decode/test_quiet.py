"""quiet.py: decoding writes nothing, and leaves warnings, standard error and Pillow as they were."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageFile

from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from imagestore.decode.quiet import ignoring_warnings, silencing_standard_error
from tests.helpers.commands import ROOT
from tests.helpers.descriptors import open_descriptors
from tests.helpers.images import blobs, encode

TIFF = encode(blobs(), "TIFF", compression="tiff_lzw")
FILES = [
    encode(blobs(), "JPEG"),
    encode(blobs(), "JPEG")[:-400],
    encode(blobs(), "JPEG")[:9000],
    encode(blobs(), "PNG")[:-12],
    TIFF,
    TIFF[:3000] + b"\xa5" * 400 + TIFF[3400:],
    b"no image",
]


def state() -> tuple:
    """Everything of the process that decoding could change."""
    pillow = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, ImageFile.MAXBLOCK
    return *pillow, tuple(warnings.filters), os.fstat(2).st_ino


def decode_all(number: int) -> int:
    """How many of the files are pictures; they are decoded in an order that `number` chooses."""
    decoded = 0
    for file in FILES[number % len(FILES) :] + FILES[: number % len(FILES)]:
        try:
            decode_rgb(file, (64, 64))
            decoded += 1
        except NotAnImage:
            continue
    return decoded


def test_decoding_leaves_the_process_as_it_is() -> None:
    before, descriptors = state(), open_descriptors()
    assert decode_all(0) == 4
    assert state() == before and open_descriptors() <= descriptors


def test_decoding_in_threads_leaves_the_process_as_it_is() -> None:
    before, descriptors = state(), open_descriptors()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(decode_all, range(60))) == {4}
    assert state() == before and open_descriptors() <= descriptors


@pytest.mark.parametrize("context", [ignoring_warnings, silencing_standard_error])
def test_the_last_thread_that_leaves_puts_it_back(context: object) -> None:
    before = state()
    context.__enter__()
    inside = state()
    context.__enter__()
    context.__exit__(None, None, None)
    assert state() == inside != before
    context.__exit__(None, None, None)
    assert state() == before


def test_a_child_process_starts_with_nothing_held() -> None:
    with ignoring_warnings, silencing_standard_error:
        child = os.fork()
        if not child:
            with ignoring_warnings, silencing_standard_error:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_damaged_images_write_nothing_to_standard_error() -> None:
    """Neither Python's warnings nor Pillow's logger nor libtiff, in a process without any setting."""
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "from imagestore.decode.decode_image import decode_rgb\n"
        "from imagestore.decode.errors import NotAnImage\n"
        "from tests.decode.test_quiet import decode_all\n"
        "from tests.decode.test_png_chunks import OTHER_CHUNKS, with_chunk\n"
        "assert decode_all(0) == 4\n"
        "for chunk in OTHER_CHUNKS.values(): decode_rgb(with_chunk(chunk))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
