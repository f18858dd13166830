"""The command `rm`: remove images from a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagestore.mending.change_images import change_images
from imagestore.mending.find_paths import find_paths
from imagestore.mending.mend_report import MendReport
from imagestore.mending.open_to_mend import open_to_mend
from imagestore.run_summary import RunSummary
from imagestore.store.corrections import REMOVED


def remove(path: Path, names: Sequence[str], dry_run: bool, summary: RunSummary) -> int:
    """Remove the images that paths, globs and names mean; return the exit status. Raises UserError.

    Zeros are written over their bytes. The file keeps its size.
    """
    report = MendReport(path, REMOVED, dry_run, summary)
    with open_to_mend(path, dry_run) as (store, writer):
        change_images(store, writer, dict.fromkeys(find_paths(store, names)), report)
        return report.finish(writer)
