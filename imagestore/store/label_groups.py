"""The groups of a file that images are added to: one for each label, with names that are still free."""

from __future__ import annotations

from pathlib import Path

import h5py
from h5py import h5g, h5l, h5o

from imagestore.console import UserError, printable
from imagestore.store.image_names import numbered_name, safe_name


class LabelGroups:
    """The groups of labels in an open file. A group is made when its first image comes."""

    def __init__(self, file: h5py.File, path_in_errors: Path) -> None:
        self._root, self._path_in_errors = file.id, path_in_errors
        self._groups: dict[bytes, h5g.GroupID] = {}  # those that were used
        self._last_number: dict[tuple[bytes, bytes], int] = {}  # label, name -> number added to it last

    def check(self, label: bytes) -> None:
        """Raise UserError if something else than a group has the name of a label."""
        if label not in self._groups and (group := self._existing(label)):
            self._groups[label] = group

    def __getitem__(self, label: bytes) -> h5g.GroupID:
        """The group of a label. Raises UserError if something else has its name."""
        if label not in self._groups:
            self._groups[label] = self._existing(label) or h5g.create(self._root, label)
        return self._groups[label]

    def _existing(self, label: bytes) -> h5g.GroupID | None:
        if not self._root.links.exists(label):
            return None
        # Behind an external link is another file: its offsets are not those of this file.
        is_here = self._root.links.get_info(label).type == h5l.TYPE_HARD
        group = h5o.open(self._root, label) if is_here else None
        if not isinstance(group, h5g.GroupID):
            raise UserError(
                f"{self._path_in_errors}: '{printable(label)}' is a link or a dataset there, "
                "so it cannot be a label; write to another store"
            )
        return group

    def place_for(self, label: bytes, member: bytes) -> tuple[h5g.GroupID, bytes]:
        """The group of a label, and a name in it for an archive member. A name that is taken gets a number.

        Raises UserError if something else than a group has the name of the label.
        """
        group, name = self[label], safe_name(member)
        candidate, key = name, (label, name)
        while group.links.exists(candidate):
            number = self._last_number[key] = self._last_number.get(key, 1) + 1
            candidate = numbered_name(name, number)
        return group, candidate

    def remove_unused(self, labels: set[bytes]) -> None:
        """Remove the empty groups that were used here, but for those of `labels`."""
        for label in self._groups.keys() - labels:
            if self._groups.pop(label).get_num_objs() == 0:
                self._root.unlink(label)

    def remove_if_empty(self, path: bytes) -> None:
        """Remove the group at a path if it has no members, then the groups above it."""
        while path and self._root.links.exists(path):
            if h5g.open(self._root, path).get_num_objs():
                return
            self._groups.pop(path, None)
            self._root.unlink(path)
            path = path.rpartition(b"/")[0]

    def close(self) -> None:
        """Let go of the groups, so that the file can be closed."""
        self._groups.clear()
