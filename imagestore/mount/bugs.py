"""What happens after an unexpected exception while a mount is served: it goes on."""

from __future__ import annotations

import os

from imagestore.console import note


def note_bug() -> None:
    """Call it in `except`: with IMAGESTORE_DEBUG set, the traceback goes to standard error.

    That is the user's if the mount is in the foreground.
    """
    if os.environ.get("IMAGESTORE_DEBUG"):
        import traceback  # here: it is only needed now

        note(traceback.format_exc().rstrip())
