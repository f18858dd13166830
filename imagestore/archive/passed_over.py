"""How many files were passed over, by reason, with the name of the first one for each reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from imagestore.archive.image_files import SKIP_REASONS


class PassedOver(Counter[str]):
    """The number of files by reason; `first` has the name of the first file for each reason."""

    def __init__(
        self, counts: Mapping[str, int] | None = None, first: Mapping[str, str] | None = None
    ) -> None:
        """Begin with nothing passed over, or with what an index has kept."""
        super().__init__(dict.fromkeys(SKIP_REASONS, 0) if counts is None else counts)
        self.first = dict(first or {})

    def note(self, reason: str, name: str) -> None:
        """Count one more file."""
        self[reason] += 1
        self.first.setdefault(reason, name)


def passed_over_in_all(parts: Iterable[PassedOver]) -> PassedOver:
    """The sum over several archives."""
    total = PassedOver()
    for part in parts:
        total.update(part)
        total.first = part.first | total.first
    return total
