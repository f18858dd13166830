"""The links of a tar that lead to images which were passed over under their own names.

In a folder that DVC or git-annex keeps, the images are in a hidden cache, and the names that people use are
links into it. Such a link is an image. A link to an image that is taken already is none: it is a second name
of the same bytes.

A hard link leads to the last member before it that has the name, as tar unpacks it. A symbolic link leads to
the last one in the whole tar; links to folders are not followed. All links are resolved after the pass over
the tar, in memory that grows with their number.
"""

from __future__ import annotations

import heapq
import posixpath
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from imagestore import stored_names
from imagestore.archive.image_files import LONGEST_NAME, is_hidden, reason_to_skip_name
from imagestore.archive.members import Location, Member, Members
from imagestore.archive.passed_over import PassedOver
from imagestore.image_formats import has_image_suffix

MOST_LINKS_IN_A_ROW = 40  # Linux follows as many


class LinkedFile(NamedTuple):
    """A file that links may lead to, and where its bytes are."""

    size: int
    mtime: int
    location: Location
    is_taken: bool = False  # it is an image under its own name
    reason: str | None = None  # under which it was counted when it was passed over
    begins_as_image: bool = False


class Link(NamedTuple):
    """A hard or symbolic link. `place` is an offset in the tar."""

    name: str
    targets: list[str]  # the paths in the tar to which it may lead, the likeliest first
    place: int
    is_hard: bool
    body: LinkedFile | None = None  # the file itself, if it comes with the hard link


Found = LinkedFile | Link | None  # what a path leads to; None: nothing in the tar


@dataclass
class TarLinks:
    """The links of a tar, and the files that they may lead to; filled in the order of the tar."""

    images: Members  # those that the pass took; the owner adds to it
    _files: Members = field(default_factory=Members)  # those that the pass did not take
    _reasons: list[str | None] = field(default_factory=list)
    _begin_as_image: bytearray = field(default_factory=bytearray)
    _links: list[Link] = field(default_factory=list)

    def add_file(self, name: str, file: LinkedFile) -> None:
        """Note a regular file that was passed over."""
        self._files.add(name, size=file.size, mtime=file.mtime, crc32=0, location=file.location)
        self._reasons.append(file.reason)
        self._begin_as_image.append(file.begins_as_image)

    def add_link(self, name: str, target: str, *, place: int, is_hard: bool) -> None:
        """Note a link in the words of the tar, at the offset `place`. It is counted by `resolve`."""
        targets = [_path(target)] if is_hard else _targets_of_symbolic_link(name, target)
        self._links.append(Link(name, targets, place, is_hard))

    def add_body(self, file: LinkedFile) -> None:
        """Note that the bytes of the file come with the last link."""
        self._links[-1] = self._links[-1]._replace(body=file)

    def resolve(self, skipped: PassedOver) -> list[tuple[Link, LinkedFile]]:
        """Return the links that are images, each with the file that it leads to, in the order of the files.

        All other links are counted in `skipped`. A file that a link leads to was not passed over after all.
        """
        taken: dict[int, tuple[Link, LinkedFile]] = {}  # by the offset of the file
        for link, file in zip(self._links, self._targets_of_links(), strict=True):
            if file is None and has_image_suffix(link.name):
                skipped.note("broken links", link.name)
            elif file is None or file.location.offset in taken or not _is_image(link, file):
                skipped.note("links", link.name)
            else:
                taken[file.location.offset] = link, file
                if file.reason is not None:
                    skipped[file.reason] -= 1
        return [taken[offset] for offset in sorted(taken)]

    def _targets_of_links(self) -> Iterator[LinkedFile | None]:
        """The file to which each link leads."""
        found: dict[str, Found] = {path: None for link in self._links for path in link.targets}
        of_hard_links: list[Found] = []
        for _, path, entry in heapq.merge(
            self._image_entries(found), self._file_entries(found), self._link_entries(), key=itemgetter(0)
        ):
            if isinstance(entry, Link) and entry.is_hard:
                entry = _first_found(found, entry) or entry.body
                of_hard_links.append(entry)
            if path in found:
                found[path] = entry
        hard = iter(of_hard_links)
        for link in self._links:
            yield _follow(found, next(hard) if link.is_hard else link)

    def _image_entries(self, wanted: Container[str]) -> Iterator[tuple[int, str, Found]]:
        for image, location in _found_among(self.images, wanted):
            is_taken = len(stored_names.encode(image.name)) <= LONGEST_NAME  # no store takes a longer one
            file = LinkedFile(image.size, image.mtime, location, is_taken, begins_as_image=True)
            yield location.offset, _path(image.name), file

    def _file_entries(self, wanted: Container[str]) -> Iterator[tuple[int, str, Found]]:
        for file, location in _found_among(self._files, wanted):
            reason, begins = self._reasons[file.position], bool(self._begin_as_image[file.position])
            linked = LinkedFile(file.size, file.mtime, location, False, reason, begins)
            yield location.offset, _path(file.name), linked

    def _link_entries(self) -> Iterator[tuple[int, str, Found]]:
        return ((link.place, _path(link.name), link) for link in self._links)


def _found_among(members: Members, wanted: Container[str]) -> Iterator[tuple[Member, Location]]:
    """The members whose paths are wanted, and where they are."""
    for member in members:
        if _path(member.name) in wanted:
            yield member, members.location(member.position)


def _is_image(link: Link, file: LinkedFile) -> bool:
    """Whether a file is an image under the name of a link to it, as far as this can be told unread."""
    looks_like_one = has_image_suffix(link.name) or file.begins_as_image
    return not file.is_taken and looks_like_one and reason_to_skip_name(link.name, file.size) is None


def _follow(found: dict[str, Found], entry: Found) -> LinkedFile | None:
    """The file at the end of a chain of symbolic links."""
    for _ in range(MOST_LINKS_IN_A_ROW):
        if not isinstance(entry, Link):
            return entry
        entry = _first_found(found, entry)
    return None


def _first_found(found: dict[str, Found], link: Link) -> Found:
    return next((found[path] for path in link.targets if found[path]), None)


def _targets_of_symbolic_link(name: str, target: str) -> list[str]:
    """The paths in the tar to which a symbolic link may lead, the likeliest first.

    An absolute one, as DVC makes them, holds a path of another machine. Its end may be a path of the tar. It
    must hold all that is hidden: other files are images under their own names.
    """
    if not target.startswith("/"):
        return [_path(posixpath.join(posixpath.dirname(name), target))]
    parts = _path(target).split("/")
    first_hidden = next((i for i, part in enumerate(parts) if is_hidden(part)), 0)
    return ["/".join(parts[i:]) for i in range(first_hidden + 1)]


def _path(name: str) -> str:
    """A member's name as tar unpacks it, in its shortest form."""
    return posixpath.normpath(name.lstrip("/"))
