"""What the links of HDF5 files lead to, and which of them may not be followed."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import pytest

from imagestore.hdf5.links import MOST_OPEN_FILES, NOWHERE, OUTSIDE, UNREADABLE, LinkFollower, LinkNotFollowed


def make_file(path: Path, **links: object) -> Path:
    """A file with a dataset under "data" and these links."""
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file["group/data"] = str(path.name)
        for name, link in links.items():
            file[name] = link
    return path


def text_at(path: Path, place: str, follow_external: bool = False) -> str:
    """The text of the dataset that a path in a file leads to."""
    links = LinkFollower(follow_external)
    with h5py.File(path) as file:
        found = links.open(links.root(file, path), place.encode()).object
        return h5py.Dataset(found).asstr()[()]


@pytest.mark.parametrize(
    "target", ["/group/data", "group/data", "./group//data", "/", "/group", "other_link/data"]
)
def test_soft_links_are_followed_in_their_file(tmp_path, target):
    links = {"link": h5py.SoftLink(target), "other_link": h5py.SoftLink("/group")}
    path = make_file(tmp_path / "a.h5", **links)
    rest = {"/": "/group/data", "/group": "/data"}.get(target, "")
    assert text_at(path, f"link{rest}") == "a.h5"


def test_external_links_lead_to_files_in_the_folder_and_below(tmp_path):
    make_file(tmp_path / "b.h5")
    make_file(tmp_path / "sub" / "c.h5", up=h5py.ExternalLink("../b.h5", "/group"))
    links = {"beside": h5py.ExternalLink("b.h5", "/group"), "below": h5py.ExternalLink("sub/c.h5", "/")}
    links["absolute"] = h5py.ExternalLink(str(tmp_path / "b.h5"), "group")
    links["moved"] = h5py.ExternalLink("/a/place/of/long/ago/b.h5", "group")
    links["soft"] = h5py.SoftLink("/beside/data")
    path = make_file(tmp_path / "a.h5", **links)
    texts = [text_at(path, place) for place in ("beside/data", "absolute/data", "moved/data", "soft")]
    assert texts == ["b.h5"] * 4
    assert text_at(path, "below/group/data") == "c.h5"
    with pytest.raises(LinkNotFollowed) as caught:  # the folder of the link's own file counts
        text_at(path, "below/up/data")
    assert caught.value.reason == OUTSIDE


def test_files_elsewhere_are_read_only_if_that_is_wanted(tmp_path):
    secret = make_file(tmp_path / "private" / "b.h5")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "linked.h5").symlink_to(secret)
    links = {
        "up": h5py.ExternalLink("../private/b.h5", "/group"),
        "absolute": h5py.ExternalLink(str(secret), "/group"),
    }
    links["linked"] = h5py.ExternalLink("linked.h5", "/group")
    links["soft"] = h5py.SoftLink("/up")
    path = make_file(tmp_path / "store" / "a.h5", **links)
    for name in links:
        with pytest.raises(LinkNotFollowed) as caught:
            text_at(path, f"{name}/data")
        assert caught.value.reason == OUTSIDE
        assert text_at(path, f"{name}/data", follow_external=True) == "b.h5"


def test_a_store_behind_a_symbolic_link_has_its_parts_beside_it(tmp_path):
    make_file(tmp_path / "real" / "b.h5")
    path = make_file(tmp_path / "real" / "a.h5", part=h5py.ExternalLink("b.h5", "/group"))
    (tmp_path / "shortcut.h5").symlink_to(path)
    assert text_at(tmp_path / "shortcut.h5", "part/data") == "b.h5"


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (h5py.SoftLink("/nothing"), NOWHERE),
        (h5py.SoftLink("/link"), NOWHERE),
        (h5py.SoftLink("/group/data/below"), NOWHERE),
        (h5py.ExternalLink("missing.h5", "/group"), NOWHERE),
        (h5py.ExternalLink("text.h5", "/group"), UNREADABLE),
        (h5py.ExternalLink("pipe.h5", "/group"), NOWHERE),
        (h5py.ExternalLink("a.h5", "/link"), NOWHERE),
    ],
)
def test_links_that_lead_nowhere_or_in_a_circle(tmp_path, link, reason):
    (tmp_path / "text.h5").write_text("no HDF5 file")
    os.mkfifo(tmp_path / "pipe.h5")
    path = make_file(tmp_path / "a.h5", link=link)
    with pytest.raises(LinkNotFollowed) as caught:
        text_at(path, "link")
    assert caught.value.reason == reason


def test_more_files_than_stay_open(tmp_path):
    count = MOST_OPEN_FILES + 10
    for i in range(count):
        make_file(tmp_path / f"part{i}.h5")
    links = {f"link{i}": h5py.ExternalLink(f"part{i}.h5", "/group") for i in range(count)}
    path, follower = make_file(tmp_path / "a.h5", **links), LinkFollower()
    with h5py.File(path) as file:
        root = follower.root(file, path)
        groups = [follower.open(root, name.encode()) for name in links]
        texts = [h5py.Dataset(follower.open(group, b"data").object).asstr()[()] for group in groups]
    assert texts == [f"part{i}.h5" for i in range(count)]


def test_an_external_link_may_lead_back_to_its_own_file(tmp_path):
    make_file(tmp_path / "b.h5", back=h5py.ExternalLink("a.h5", "/group"))
    links = {"self": h5py.ExternalLink("a.h5", "/group"), "other": h5py.ExternalLink("b.h5", "/")}
    path = make_file(tmp_path / "a.h5", **links)
    assert text_at(path, "self/data") == text_at(path, "other/back/data") == "a.h5"
