"""The links of a group in one pass."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from h5py import h5l, h5o

from imagestore.hdf5.group_links import links_of


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("count", [0, 3, 400])
def test_each_link_has_its_type_and_address(tmp_path, libver, count):
    with h5py.File(tmp_path / "a.h5", "w", libver=libver, track_order=True) as file:
        group = file.create_group("g")
        for i in reversed(range(count)):
            group[f"{i:03d}"] = np.int64(i)
        group["soft"], group["external"] = h5py.SoftLink("/000"), h5py.ExternalLink("b.h5", "/")
        links = links_of(group.id)
        assert list(links) == sorted(links) == [*(b"%03d" % i for i in range(count)), b"external", b"soft"]
        assert (links.pop(b"soft").type, links.pop(b"external").type) == (h5l.TYPE_SOFT, h5l.TYPE_EXTERNAL)
        for name, link in links.items():
            assert (link.type, link.address) == (h5l.TYPE_HARD, h5o.get_info(group.id, name).addr)
