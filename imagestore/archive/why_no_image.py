"""What to tell a user whose archive or folder gave no image: what was passed over, and what to do."""

from __future__ import annotations

from pathlib import Path

from imagestore.archive.file_kinds import ADVICE_FOR_MEMBERS
from imagestore.archive.image_files import hidden_folder
from imagestore.archive.passed_over import PassedOver
from imagestore.console import printable

ADVICE_SHOWN = 2  # for the most frequent reasons

ADVICE = {
    **ADVICE_FOR_MEMBERS,
    "broken links": "fetch the files to which they lead (git annex get, dvc pull), and pack these, too",
    "links": "pack the files to which they lead (tar -h)",
    "too large": "set IMAGESTORE_DECODE_MEMORY to the memory that one image may take",
    "unreadable": "ask for the right to read them",
}


def why_no_image(path: Path, passed_over: PassedOver, undecodable: PassedOver | None = None) -> str:
    """Return the end of a message that says that there is no image at `path`: ": 24 passed over: …".

    `undecodable` counts the images that cannot be decoded, by kind; `first` has a name and a reason for each.
    """
    undecodable = undecodable or PassedOver({})
    counts = {
        reason: count
        for reason, count in [*undecodable.most_common(), *passed_over.most_common()]
        if count > 0 and reason != "folders"
    }
    if not counts:
        return " and no other file"
    in_words = ", ".join(f"{reason} ({count:,})" for reason, count in counts.items())
    first = {**passed_over.first, **undecodable.first}
    advice = {reason: _advice(path, reason, first.get(reason, "")) for reason in list(counts)[:ADVICE_SHOWN]}
    in_order = [text if len(counts) == 1 else f"{reason}: {text}" for reason, text in advice.items() if text]
    return "; ".join([f": {sum(counts.values()):,} passed over: {in_words}", *in_order])


def _advice(path: Path, reason: str, first: str) -> str:
    """What to do about the files that were passed over for a reason; if nothing is known, the first one."""
    if reason == "hidden images":
        folder = hidden_folder(first)
        if path.is_dir():
            return f"give the hidden folder itself ({printable(str(path / folder))})"
        return f"unpack the archive and give the hidden folder ({printable(folder)})"
    return ADVICE.get(reason) or (f"the first is {printable(first)}" if first else "")
