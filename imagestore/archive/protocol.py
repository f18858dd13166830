"""What every kind of archive offers: images under their names, streamed or fetched one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from imagestore.archive.members import Member
from imagestore.console import UserError, did_you_mean


class Unfounded(UserError):
    """A checksum of the archive denies what was streamed from it: some images are wrong."""


class Archive(Protocol):
    """Images under their names, from an archive or a folder; a context manager."""

    path: Path
    skipped: Counter[str]  # what was passed over, by reason, as far as a pass has come

    @property
    def indexed(self) -> bool:
        """Whether `members`, `find` and `read` can do without a pass over everything."""

    def members(self) -> Sequence[Member]:
        """Every image member, in the archive's order: from the index, or by one pass that leaves one."""

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        """Every image member with its bytes, in one pass; it may be left early.

        Raises UserError where the archive ends too early or is damaged, after all that comes before.
        gzip has its checksum at the very end: only that error tells that bytes before it were wrong.
        """

    def read(self, member: Member) -> bytes:
        """The bytes of one member; fastest in the archive's order. Raises UserError, never wrong bytes."""

    def find(self, name: str) -> Member:
        """The (last) member of that name. Raises UserError with names like it."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Archive: ...
    def __exit__(self, *exception: object) -> None: ...


def not_found(path: Path, name: str, members: Sequence[Member]) -> NoReturn:
    """Raise UserError with members like `name`: those of the same base name, else those spelt alike."""
    base = name.rsplit("/", 1)[-1]
    same = [member.name for member in members if member.name.rsplit("/", 1)[-1] == base]
    hint = did_you_mean(name, same[:3] or (member.name for member in members))
    raise UserError(f"{path} holds no image {name!r}{hint}")
