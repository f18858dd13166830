"""Which top-level groups of a file are no labels, because their images also stand under other labels.

A file may keep its images in /images, and give them their labels by links: /red/1.jpg -> /images/1.jpg. Then
/images is storage, not a third label that holds all images. Two rules find such groups:

- At least two other groups hold a part of this group's images, and no other images. Links and hard links
  count alike. So a group `all` beside `red` and `green` is left out too.
- Links from other groups lead to every image of this group. If there is only one such group, it is a second
  name of this one, and holds the same images.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import permutations

import numpy as np

FileAndAddress = tuple[int, int]  # of an HDF5 object


class LabelledObjects:
    """The datasets that stand under each top-level group. A dataset may hold several images."""

    def __init__(self) -> None:
        # One entry for each dataset under a label, compact: there may be a million.
        self._labels, self._files, self._addresses = array("l"), array("Q"), array("Q")
        self._is_linked = array("b")
        self._numbers: dict[bytes, int] = {}  # label -> its number
        self._known: set[FileAndAddress] = set()  # filled by the first question

    def add(self, label: bytes, dataset: FileAndAddress, through_link: bool) -> None:
        """Add a dataset that stands under a label, and whether a soft or an external link leads to it."""
        self._labels.append(self._numbers.setdefault(label, len(self._numbers)))
        self._files.append(dataset[0])
        self._addresses.append(dataset[1])
        self._is_linked.append(through_link)

    def __contains__(self, dataset: FileAndAddress) -> bool:
        """Whether a dataset stands under any label. After the first question, no dataset may be added."""
        self._known = self._known or set(zip(self._files, self._addresses, strict=True))
        return dataset in self._known

    def storage_groups(self) -> dict[bytes, int]:
        """The groups that are no labels by the rules of this module, sorted.

        The value is the number of datasets in the group that have no other label.
        """
        number_of_dataset = self._number_datasets()  # int64 (entries,)
        is_shared = np.bincount(number_of_dataset)[number_of_dataset] > 1
        if not is_shared.any():
            return {}
        groups = [_Group(name) for name in self._numbers]
        entries = zip(self._labels, number_of_dataset.tolist(), self._is_linked, is_shared, strict=True)
        for label, dataset, is_linked, shared in entries:
            groups[label].add(dataset, bool(is_linked), bool(shared))
        return _storage_among(groups)

    def _number_datasets(self) -> np.ndarray:
        """int64 (entries,): a number from 0 for each entry, equal if it is the same dataset."""
        files, addresses = np.array(self._files), np.array(self._addresses)
        order = np.lexsort((addresses, files))
        is_new = (np.diff(files[order]) != 0) | (np.diff(addresses[order]) != 0)
        number = np.zeros(len(order), np.int64)
        number[order[1:]] = np.cumsum(is_new)
        return number


class _Group:
    """A top-level group: how many datasets it holds, and which of them may also stand in other groups."""

    def __init__(self, name: bytes) -> None:
        self.name, self.unshared = name, 0
        self.direct: set[int] = set()
        self.linked: set[int] = set()

    def add(self, dataset: int, is_linked: bool, is_shared: bool) -> None:
        if is_shared:
            (self.linked if is_linked else self.direct).add(dataset)
        else:
            self.unshared += 1

    @property
    def shared(self) -> set[int]:
        return self.direct | self.linked

    def __len__(self) -> int:
        return self.unshared + len(self.shared)


def _storage_among(groups: list[_Group]) -> dict[bytes, int]:
    unions = _unions(groups)
    others = [group for group in groups if group.name not in unions]
    storage = unions | {group.name for group in others if _is_linked_elsewhere(group, others)}
    labelled = _datasets_of(group for group in groups if group.name not in storage)
    in_order = sorted(groups, key=lambda group: group.name)
    return {
        group.name: len(group) - len(group.shared & labelled) for group in in_order if group.name in storage
    }


def _datasets_of(groups: Iterable[_Group]) -> set[int]:
    return set().union(*(group.shared for group in groups))


def _unions(groups: list[_Group]) -> set[bytes]:
    """The groups that hold all the images of at least two smaller groups."""
    groups_of: defaultdict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        for dataset in group.shared:
            groups_of[dataset].append(number)
    in_both: Counter[tuple[int, int]] = Counter()
    for numbers in groups_of.values():
        in_both.update(permutations(numbers, 2))
    sizes = [len(group) for group in groups]
    parts = Counter(whole for (whole, part), count in in_both.items() if count == sizes[part] < sizes[whole])
    return {groups[whole].name for whole, count in parts.items() if count > 1}


def _is_linked_elsewhere(group: _Group, groups: list[_Group]) -> bool:
    """Whether links from other groups lead to every image of this group."""
    if group.linked or group.unshared or not group.direct:
        return False
    linking = [other for other in groups if other.linked & group.direct]
    if not group.direct <= set().union(*(other.linked for other in linking)):
        return False
    return len(linking) > 1 or len(linking[0]) == len(group)
