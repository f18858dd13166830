"""All that an archive gives: once in a stream, and each image by itself."""

from __future__ import annotations

from pathlib import Path

from imagestore.archive.members import SourceLabels
from imagestore.sources.open_archive import open_archive


def read_all(path: Path, key: str | None = None) -> tuple[list[bytes], list[str | None]]:
    """All images and labels; each image is read once more, from the last to the first."""
    with open_archive(path, labels=SourceLabels(key)) as archive:
        streamed = list(archive.stream())
        again = [archive.read(member) for member in reversed(archive.members())]
    assert again[::-1] == [data for _, data in streamed]
    return [data for _, data in streamed], [member.label for member, _ in streamed]
