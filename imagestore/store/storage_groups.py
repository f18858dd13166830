"""Which top-level groups of a file are no labels, because their images also stand under other labels.

A file may keep its images in /images, and give them their labels by links: /red/1.jpg -> /images/1.jpg. Then
/images is storage, not a third label that holds all images. Two rules find such groups:

- At least two other groups hold a part of this group's images, and no other images. Links and hard links
  count alike. So a group `all` beside `red` and `green` is left out too.
- Links from other groups lead to every image of this group. If there is only one such group, it is a second
  name of this one, and holds the same images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import permutations

FileAndAddress = tuple[int, int]  # of an HDF5 object


class LabelledObjects:
    """The objects that stand under each top-level group. A dataset may hold several images."""

    def __init__(self) -> None:
        self._direct: defaultdict[bytes, set[FileAndAddress]] = defaultdict(set)  # label -> datasets
        self._linked: defaultdict[bytes, set[FileAndAddress]] = defaultdict(set)  # reached through a link

    def add(self, label: bytes, dataset: FileAndAddress, through_link: bool) -> None:
        """Add a dataset that stands under a label, and whether a soft or an external link leads to it."""
        (self._linked if through_link else self._direct)[label].add(dataset)

    def __contains__(self, dataset: FileAndAddress) -> bool:
        """Whether a dataset stands under any label."""
        return any(
            dataset in found for by_label in (self._direct, self._linked) for found in by_label.values()
        )

    def storage_groups(self) -> list[bytes]:
        """The groups that are no labels by the rules of this module, sorted."""
        objects = {
            label: self._direct[label] | self._linked[label] for label in {*self._direct, *self._linked}
        }
        labels_of: defaultdict[FileAndAddress, list[bytes]] = defaultdict(list)
        for label, datasets in objects.items():
            for dataset in datasets:
                labels_of[dataset].append(label)
        unions = _unions(objects, labels_of)
        return sorted(
            unions | {label for label in objects if self._is_linked_elsewhere(label, objects, unions)}
        )

    def _is_linked_elsewhere(
        self, label: bytes, objects: dict[bytes, set[FileAndAddress]], unions: set[bytes]
    ) -> bool:
        """Whether links from labels that stay lead to every image of this group."""
        if self._linked[label] or label in unions:
            return False
        remaining = set(self._direct[label])
        linking = [other for other in objects if other not in unions and self._linked[other] & remaining]
        for other in linking:
            remaining -= self._linked[other]
        is_one_label_of_several = len(linking) == 1 and objects[linking[0]] != objects[label]
        return not remaining and not is_one_label_of_several


def _unions(
    objects: dict[bytes, set[FileAndAddress]], labels_of: dict[FileAndAddress, list[bytes]]
) -> set[bytes]:
    """The groups that hold all the images of at least two smaller groups."""
    shared: Counter[tuple[bytes, bytes]] = Counter()
    for labels in labels_of.values():
        if len(labels) > 1:
            shared.update(permutations(labels, 2))
    parts = Counter(
        whole for (whole, part), count in shared.items() if count == len(objects[part]) < len(objects[whole])
    )
    return {whole for whole, count in parts.items() if count > 1}
