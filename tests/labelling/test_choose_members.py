"""Which members of an archive a run takes, and which of two files an image belongs to."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import tarfile
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.labelling.choose_members import (
    choose_runs,
    choose_runs_in_shard,
    draw,
    is_for_training,
    share,
)
from imagestore.sources.open_archive import open_archive


@given(st.integers(0, 300), st.integers(1, 400), st.integers(1, 50), st.integers(0, 1000))
def test_runs_are_neighbours_and_no_member_comes_twice(total, count, chunk, seed):
    chosen = choose_runs(range(total), count, chunk, random.Random(seed))
    assert len(chosen) == min(count, total)
    assert sorted(set(chosen)) == chosen, "each once, and in the archive's order"
    assert chosen == choose_runs(range(total), count, chunk, random.Random(seed))
    breaks = sum(b != a + 1 for a, b in itertools.pairwise(chosen))
    assert breaks < max(1, -(-len(chosen) // chunk)), "as many runs as count / chunk, at most"


def test_all_members_have_about_the_same_chance():
    rng = random.Random(5)
    draws = Counter(i for _ in range(4000) for i in choose_runs(range(40), 9, 4, rng))
    inner = [draws[i] for i in range(4, 36)]
    expected = 4000 * 9 / 40
    assert all(abs(count - expected) < 0.25 * expected for count in inner), draws
    # Fewer runs of four reach the members at both ends, as with any runs from random places.
    assert all(draws[i] > 0.15 * expected for i in range(40)), draws
    lengths = Counter(len(choose_runs(range(40), 9, 4, random.Random(i))) for i in range(50))
    assert lengths == {9: 50}


def test_chosen_members_of_a_real_archive_are_read(flowers, tmp_path):
    with open_archive(flowers, tmp_path / "index") as archive:
        chosen = choose_runs(archive.members(), 24, 8, random.Random(1))
        images = {member.name: archive.read(member) for member in chosen}
    with tarfile.open(flowers) as tar:
        assert images == {name: tar.extractfile(name).read() for name in images}
    assert len(images) == 24


# ----- shards -----


@given(st.integers(0, 1000), st.integers(1, 40))
def test_shards_are_neighbours_and_share_all_members(member_count, n):
    shards = [share(member_count, (k, n)) for k in range(1, n + 1)]
    assert [position for shard in shards for position in shard] == list(range(member_count))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@given(st.integers(0, 300), st.integers(1, 400), st.integers(1, 50), st.integers(0, 1000), st.integers(1, 9))
def test_shards_choose_together_what_one_run_chooses(total, count, chunk, seed, n):
    whole = choose_runs(range(total), count, chunk, random.Random(seed))
    shards = [choose_runs_in_shard(total, count, chunk, random.Random(seed), (k, n)) for k in range(1, n + 1)]
    assert [position for shard in shards for position in shard] == whole
    for k, positions in enumerate(shards, 1):
        assert set(positions) <= set(share(total, (k, n)))


# ----- two files -----


def test_draw_is_the_hash_of_seed_and_name():
    """BLAKE2b (RFC 7693) of the seed in decimal, a NUL and the name: another run must not move an image."""
    done = subprocess.run(
        ["b2sum", "-l", "64"], input=b"7\0jpg/image_00001.jpg", capture_output=True, check=True, timeout=120
    )
    assert draw(7, b"jpg/image_00001.jpg") == int(done.stdout.split()[0], 16) / 2**64


@given(st.integers(), st.binary(max_size=300))
def test_draw_is_at_least_zero_and_below_one(seed, name):
    assert 0 <= draw(seed, name) < 1
    assert is_for_training(seed, name, 1.0) and not is_for_training(seed, name, 0.0)


@given(st.integers(), st.binary(max_size=300))
def test_images_are_for_training_if_drawn_below_the_fraction(seed, name):
    drawn = draw(seed, name)
    assert not is_for_training(seed, name, drawn)
    assert is_for_training(seed, name, math.nextafter(drawn, math.inf))


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_the_fraction_is_the_share_of_training_images(fraction):
    count = 10_000
    training = sum(is_for_training(0, b"jpg/image_%05d.jpg" % i, fraction) for i in range(count))
    deviation = (fraction * (1 - fraction) * count) ** 0.5
    assert abs(training - fraction * count) < 5 * deviation


def test_seeds_draw_independently():
    names = [b"jpg/image_%05d.jpg" % i for i in range(2000)]
    both = sum(is_for_training(1, name, 0.5) and is_for_training(2, name, 0.5) for name in names)
    assert abs(both - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5
