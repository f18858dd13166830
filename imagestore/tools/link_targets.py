"""Where a symbolic link leads. pack and unpack copy only links that stay inside the copied folder."""

from __future__ import annotations

import os


def target_from_top(top: bytes, folder: bytes, text: bytes) -> bytes | None:
    """The target of the link `text` in `folder`, as a path from `top`; None if it is outside or unknown.

    `folder` is a path from `top`, which has no links in it. The target is unknown if `..` comes after another
    symbolic link.
    """
    path = [part for part in folder.split(b"/") if part]
    if text.startswith(b"/"):
        path, text = [], _below(top, text)
        if text is None:
            return None
    for part in text.split(b"/"):
        if part == b"..":
            if not path or os.path.islink(os.path.join(top, *path)):
                return None
            path.pop()
        elif part not in (b"", b"."):
            path.append(part)
    return b"/".join(path)


def _below(top: bytes, path: bytes) -> bytes | None:
    """The absolute `path`, whose folder may be given through links, as a path from `top`; None if outside."""
    folder, name = os.path.split(path.rstrip(b"/"))
    real = os.path.join(os.path.realpath(folder), name)
    return real[len(top) + 1 :] if real.startswith(top.rstrip(b"/") + b"/") else None


def may_lead_outside(text: bytes, depth: int) -> bool:
    """Whether the link `text`, `depth` folders below the top folder, may lead out of the top folder.

    A `..` behind a name counts: the name may be another link.
    """
    parts = text.split(b"/")
    ups = next((i for i, part in enumerate(parts) if part != b".."), len(parts))
    return text.startswith(b"/") or ups > depth or b".." in parts[ups:]
