"""The Archive protocol: images under their names, which are streamed or fetched one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from imagestore.archive.members import Member, Members
from imagestore.archive.passed_over import PassedOver
from imagestore.archive.why_no_image import why_no_image
from imagestore.console import UserError, did_you_mean

NAMES_IN_HINT = 3


class WrongImages(UserError):
    """A checksum of the archive does not fit the streamed images: some of them are wrong."""


class DamagedArchive(UserError):
    """An archive ends too early or is broken. The images before that place are right."""


class Archive(Protocol):
    """Images under their names, from an archive or a folder. Use it as a context manager.

    An archive belongs to one thread. After a fork, parent and child may both use it.
    """

    path: Path
    skipped: PassedOver  # how many files were skipped, by reason; each pass counts anew
    damage: DamagedArchive | None = None  # what a pass has found, if the archive is not whole

    @property
    def indexed(self) -> bool:
        """Whether `members`, `find` and `read` need no pass over the whole archive."""

    def members(self) -> Sequence[Member]:
        """Return all image members in the archive's order.

        If there is no index, this makes a pass over the whole archive. If the archive is damaged, `damage`
        says where, and the images before that place are all. Raises UserError for other errors of `stream`.
        """

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        """Yield every image member with its bytes, in one pass. The caller may stop early.

        If the archive ends too early or is damaged, the images before that place are yielded first, and
        then DamagedArchive is raised. gzip has its checksum at the end: WrongImages says that some of the
        images that were yielded are wrong.
        """

    def read(self, member: Member) -> bytes:
        """Return the bytes of one member. The archive's order is the fastest. Raises UserError.

        The bytes always have the member's checksum.
        """

    def find(self, name: str) -> Member:
        """Return the last member of that name. Raises UserError, which suggests similar names."""

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Archive:
        """Return the archive itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the archive."""
        self.close()


def find_last(archive: Archive, members: Members, name: str) -> Member:
    """Return the last member of that name, for Archive.find. Raises UserError."""
    member = members.last_named(name)
    if member is not None:
        return member
    if archive.damage:
        raise DamagedArchive(f"no image {name!r} comes before the damage: {archive.damage}")
    raise no_such_image(archive.path, name, members, archive.skipped)


def no_such_image(
    path: Path, name: str, members: Sequence[Member], skipped: PassedOver | None = None
) -> UserError:
    """Return the error for a name that is not in `path`. It suggests equal base names, else similar names.

    If `path` holds no image at all, the error says why. `skipped` is that of the Archive.
    """
    if not members and skipped is not None:
        return no_image(path, skipped)
    base = name.rsplit("/", 1)[-1]
    same_base = [member.name for member in members if member.name.rsplit("/", 1)[-1] == base]
    hint = did_you_mean(name, same_base[:NAMES_IN_HINT] or (member.name for member in members))
    return UserError(f"{path} holds no image {name!r}{hint}")


def no_image(path: Path, skipped: PassedOver) -> UserError:
    """Return the error for an archive or a folder without an image."""
    return UserError(f"{path}: holds no image{why_no_image(path, skipped)}")
