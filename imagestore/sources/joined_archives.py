"""Several archives as one, such as the shards of a data set: JoinedArchives."""

from __future__ import annotations

import contextlib
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

from imagestore.archive.members import Member
from imagestore.archive.passed_over import PassedOver, passed_over_in_all
from imagestore.archive.protocol import Archive, DamagedArchive, WrongImages, no_such_image
from imagestore.console import UserError
from imagestore.sources.opened_ahead import OpenedAhead

OPEN_AT_A_TIME = 4  # of thousands; each takes a descriptor, and memory for its decompressor
SHOWN = 3  # damaged archives in a message


class JoinedArchives(Archive):
    """The images of several archives, one archive after the other; each is opened when it is needed.

    A damaged archive costs no other one. If the checksum of one does not fit, `on_wrong` is called with the
    first position of its images and the position behind them: the images that `stream` yielded with these
    positions are wrong, perhaps. The stream goes on with the next archive.
    """

    def __init__(self, paths: Sequence[Path], open_one: Callable[[Path], Archive], ahead: int = 1) -> None:
        """Open nothing yet. `open_one` opens one of the archives. `stream` opens so many of them ahead."""
        self.path = Path(f"{paths[0]} and {len(paths) - 1:,} more")
        self.on_wrong: Callable[[int, int], None] = lambda first, end: None
        self._paths = list(paths)
        self._open_one, self._ahead = open_one, ahead
        self._open: OrderedDict[int, Archive] = OrderedDict()  # for `read`, the latest one last
        self._lists: list[Sequence[Member]] = []  # of the archives whose members are known: the first ones
        self._starts = array("q", [0])  # the position of each of them, and the position behind the last
        self._skipped: dict[int, PassedOver] = {}
        self._damage: dict[int, UserError] = {}

    @property
    def indexed(self) -> bool:
        """Whether `members` needs no pass over any archive. This opens them, as far as it is so."""
        for number in range(len(self._lists), len(self._paths)):
            try:
                with self._open_one(self._paths[number]) as archive:
                    if not archive.indexed:
                        return False
                    self._list(number, archive)
            except UserError:
                return False
        return True

    @property
    def skipped(self) -> PassedOver:  # type: ignore[override]
        return passed_over_in_all(self._skipped.values())

    @property
    def damage(self) -> DamagedArchive | None:  # type: ignore[override]
        messages = [str(self._damage[number]) for number in sorted(self._damage)]
        if len(messages) < 2:
            return DamagedArchive(messages[0]) if messages else None
        shown = "; ".join(messages[:SHOWN])
        more = f"; and {len(messages) - SHOWN:,} more" if len(messages) > SHOWN else ""
        return DamagedArchive(
            f"{len(messages):,} of {len(self._paths):,} archives are damaged: {shown}{more}"
        )

    def members(self) -> JoinedMembers:
        for number in range(len(self._lists), len(self._paths)):
            try:
                with self._open_one(self._paths[number]) as archive:
                    self._list(number, archive)
            except UserError as error:
                self._leave_out(number, error)
        return JoinedMembers(self._lists, self._starts)

    def _list(self, number: int, archive: Archive) -> None:
        """Keep the members of an archive, if they are not known yet. Raises UserError."""
        members = archive.members()
        self._skipped[number] = archive.skipped
        if archive.damage:
            self._damage[number] = archive.damage
        self._keep_list(number, members)

    def _leave_out(self, number: int, error: UserError) -> None:
        self._damage[number] = error
        self._keep_list(number, [])

    def _keep_list(self, number: int, members: Sequence[Member]) -> None:
        if number == len(self._lists):
            self._lists.append(members)
            self._starts.append(self._starts[-1] + len(members))

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        start = 0
        with OpenedAhead(self._open_one, self._paths, self._ahead) as opened:
            for number in range(len(self._paths)):
                end = start
                if not self._is_wrong(number):
                    with contextlib.closing(self._stream_one(number, opened)) as images:
                        for member, data in images:
                            end = start + member.position + 1
                            yield _moved(member, start), data
                    if self._is_wrong(number):
                        self.on_wrong(start, end)
                start = max(end, start + len(self._lists[number]))
        if self.damage:
            raise self.damage

    def _is_wrong(self, number: int) -> bool:
        return isinstance(self._damage.get(number), WrongImages)

    def _stream_one(self, number: int, opened: OpenedAhead) -> Iterator[tuple[Member, bytes]]:
        """The images of one archive, and at its end its members. An error is noted."""
        try:
            with opened.take(number) as stream:
                try:
                    yield from stream.images
                except DamagedArchive as damage:
                    self._damage[number] = damage
                self._list(number, stream.archive)
        except UserError as error:
            self._leave_out(number, error)

    def read(self, member: Member) -> bytes:
        members = self.members()
        number = members.archive_of(member.position)
        inner = replace(member, position=member.position - self._starts[number])
        return self._archive(number).read(inner)

    def path_of(self, member: Member) -> Path:
        """The path of the archive that holds a member of `members`."""
        return self._paths[self.members().archive_of(member.position)]

    def _archive(self, number: int) -> Archive:
        if number not in self._open:
            if len(self._open) == OPEN_AT_A_TIME:
                self._open.popitem(last=False)[1].close()
            self._open[number] = self._open_one(self._paths[number])
        self._open.move_to_end(number)
        return self._open[number]

    def find(self, name: str) -> Member:
        members = self.members()
        found = None
        for member in members:
            found = member if member.name == name else found
        if found is not None:
            return found
        if self.damage:
            raise DamagedArchive(f"no image {name!r} comes before the damage: {self.damage}")
        raise no_such_image(self.path, name, members)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


class JoinedMembers(Sequence[Member]):
    """The members of several archives, one archive after the other."""

    def __init__(self, lists: Sequence[Sequence[Member]], starts: Sequence[int]) -> None:
        """`starts` has the position of the first member of each list, and at its end the number of all."""
        self._lists, self._starts = lists, starts

    def __len__(self) -> int:
        """Return the number of images in all archives."""
        return self._starts[-1]

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> list[Member]: ...
    def __getitem__(self, index: int | slice) -> Member | list[Member]:
        """Return one member, or a list of members."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        number = self.archive_of(position)
        start = self._starts[number]
        return _moved(self._lists[number][position - start], start)

    def __iter__(self) -> Iterator[Member]:
        """Iterate over the members, archive by archive."""
        for members, start in zip(self._lists, self._starts, strict=False):
            for member in members:
                yield _moved(member, start)

    def archive_of(self, position: int) -> int:
        """The number of the archive that holds the member at `position`."""
        return bisect_right(self._starts, position) - 1


def _moved(member: Member, start: int) -> Member:
    """A member of an archive whose first member has the position `start`."""
    if not start:
        return member
    position = start + member.position
    return Member(member.name, member.size, member.mtime, member.crc32, position, member.label)
