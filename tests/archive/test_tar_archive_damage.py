"""An archive that is cut short or broken gives what comes before that place to every way of reading it."""

from __future__ import annotations

import shutil

import pytest

from imagestore.archive.protocol import DamagedArchive
from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import (
    COMPRESSIONS,
    COMPRESSIONS_TO_SCAN,
    PACKERS,
    noise,
    pack,
    photographs,
    stream_until_error,
    write,
)

IMAGES = photographs(3, 300)  # each takes a block for its header and one for its data
ENDS = [1024, 2048, 3072]  # of the images in the tar


def images_and_damage(path):
    """Return the images that an archive lists and fetches one by one, and the message about its damage."""
    with open_archive(path) as archive:
        images = [(member.name, archive.read(member)) for member in archive.members()]
        return images, str(archive.damage or "")


def can_be_opened(path):
    """Whether a file is known as an archive."""
    try:
        open_archive(path).close()
    except UserError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("compression", COMPRESSIONS_TO_SCAN)
def test_a_cut_at_any_byte_leaves_the_images_before_it(tmp_path, compression, cache):
    data = pack(IMAGES, compression)
    counts = []
    lengths = range(1, min(len(data), ENDS[-1] + 3 * 512))
    if compression == "tar":  # most cuts fall into the middle of a block
        lengths = [length for length in lengths if length % 17 == 0 or (length + 1) % 512 <= 2]
    for length in lengths:
        path = write(tmp_path / "cut", data[:length])
        streamed, message = stream_until_error(path)
        counts.append(len(streamed))
        assert streamed == IMAGES[: len(streamed)]
        if not can_be_opened(path):  # less than the first header
            assert message and not streamed and (compression != "tar" or length < 512)
            continue
        if compression == "tar":
            assert len(streamed) >= sum(end <= length for end in ENDS)
        if not message:  # a plain tar may lack its end mark, or be cut exactly between two members
            assert compression == "tar" and (length in ENDS or length >= ENDS[-1] + 512)
            shutil.rmtree(cache)
        assert not cache.exists()
        assert images_and_damage(path) == (streamed, message)
        shutil.rmtree(cache, ignore_errors=True)
    assert counts == sorted(counts) and counts[-1] == 3


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_broken_header_leaves_the_images_before_it(tmp_path, compression):
    plain = bytearray(pack(IMAGES))
    plain[ENDS[1] + 150] ^= 1
    path = write(tmp_path / "a", PACKERS[compression](bytes(plain)))
    streamed, message = stream_until_error(path)
    assert streamed == IMAGES[:2] and "a is damaged after 'jpg/image_0001.jpg' (bad checksum)" in message
    assert images_and_damage(path) == (streamed, message)


def break_last_third(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3] + noise(len(data) // 3 + 1, 1)


def test_broken_data_leave_the_images_before_them(tmp_path):
    expected = photographs(60, 50_000)
    streamed, message = stream_until_error(
        path := write(tmp_path / "a", break_last_third(pack(expected, "gz")))
    )
    assert streamed == expected[: len(streamed)] and len(streamed) >= 20
    assert images_and_damage(path) == (streamed, message)


def test_images_of_a_broken_block_of_bzip2_are_not_trusted(run, tmp_path):
    """The checksum of a block comes behind its bytes, so that wrong bytes are delivered before the error."""
    write(tmp_path / "a.tbz2", break_last_third(pack(photographs(60, 50_000), "bz2")))
    done = run("colourHeuristic.py", "partition", "a.tbz2", "a.h5", "b.h5", 1,
               "--labels", "folder", "--no-palette", check=False)  # fmt: skip
    assert done.returncode == 1
    assert "some of its images are not what was packed" in done.stderr
    assert not (tmp_path / "a.h5").exists()


def test_a_name_behind_the_damage_is_told_from_a_wrong_one(tmp_path):
    data = pack(IMAGES)[: ENDS[1] + 700]
    with open_archive(write(tmp_path / "cut.tar", data)) as archive:
        assert archive.read(archive.find("jpg/image_0001.jpg")) == IMAGES[1][1]
        with pytest.raises(
            DamagedArchive, match=r"no image 'jpg/image_0002\.jpg' comes before the damage: .*cut"
        ):
            archive.find("jpg/image_0002.jpg")


def test_an_archive_that_becomes_whole_is_read_anew(tmp_path):
    data = pack(IMAGES, "gz")
    path = write(tmp_path / "a.tgz", data[: len(data) // 2])
    assert images_and_damage(path)[1]
    write(path, data)
    assert images_and_damage(path) == (IMAGES, "")


def test_a_stream_after_the_members_ends_in_the_damage_again(tmp_path):
    path = write(tmp_path / "cut.tar", pack(IMAGES)[: ENDS[1] + 700])
    with open_archive(path) as archive:
        assert len(archive.members()) == 2
        with pytest.raises(DamagedArchive, match=r"ends in the middle of 'jpg/image_0002\.jpg'"):
            list(archive.stream())
        assert len(archive.members()) == 2
