"""What the walk through a file has noticed beside the images: what it left out, and what is no label."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from imagestore import stored_names
from imagestore.console import printable

NAMES_KEPT = 3  # of the links that were left out for one reason


@dataclass(kw_only=True)
class LinksLeftOut:
    """Links that were not followed for one reason: how many, and the paths of the first."""

    count: int = 0
    paths: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Remarks:
    """What is to be said of a file; empty for a file that holds labelled images only."""

    # Groups that are no labels, and how many datasets in each have no other label; see storage_groups.py.
    storage_groups: dict[str, int] = field(default_factory=dict)
    links: dict[str, LinksLeftOut] = field(default_factory=dict)  # by the reason why they were not followed
    uses_other_files: bool = False  # whether external links lead to some images

    def __bool__(self) -> bool:
        return bool(self.storage_groups or self.links or self.uses_other_files)

    def leave_link_out(self, reason: str, path: bytes) -> None:
        """Count a link that was not followed."""
        links = self.links.setdefault(reason, LinksLeftOut())
        links.count += 1
        if len(links.paths) < NAMES_KEPT:
            links.paths.append(stored_names.decode(path))

    def links_as_text(self) -> str:
        """The links that were not followed, as the end of a message; "" if there are none."""
        return "".join(
            f"; links that {reason}: {links.count:,} ({', '.join(map(printable, links.paths))}"
            f"{', …' if links.count > len(links.paths) else ''})"
            for reason, links in self.links.items()
        )

    def as_json(self) -> dict[str, Any]:
        """The remarks as values that JSON has."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> Remarks:
        """The remarks that `as_json` gave."""
        links = {reason: LinksLeftOut(**links) for reason, links in values["links"].items()}
        return Remarks(**values | {"links": links})
