"""A run of `sort` or `partition`: its options, and everything that it has open."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.archive.protocol import Archive
from imagestore.labelling.added_images import AddedImages
from imagestore.labelling.label_sources import LabelOptions, labels_in_source
from imagestore.labelling.run_report import RunReport
from imagestore.processes import cpu_count, stopping
from imagestore.run_summary import RunSummary
from imagestore.sources.archive_paths import expand_archives
from imagestore.sources.open_archives import open_paths
from imagestore.sources.processes_for_archives import processes_for_archives
from imagestore.store.writer import StoreWriter

if TYPE_CHECKING:
    from imagestore.labelling.workers import Workers

DEFAULT_SEED = 0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `sort` and `partition`."""

    seed: int | None = None  # None: `sort` takes other images in each run, unless it runs in shards
    workers: int | None = None  # None: as many as this process may use CPUs
    shard: tuple[int, int] | None = None  # (k, n): only share k of 1…n
    index: Path | None = None  # of the archive; None: in the user's cache folder
    ignore_zeros: bool = False  # read on behind an end mark of the archive
    follow_external: bool = False  # read other files to which an HDF5 file leads
    label_options: LabelOptions = field(default_factory=LabelOptions)
    keeps_palettes: bool = True  # False: no image is decoded
    split: Path | None = None  # the file that says which images `partition` puts into which store
    summary: RunSummary = field(default_factory=RunSummary)  # which the run fills
    again: bool = False  # add images again that somebody removed from a store by hand

    @property
    def fixed_seed(self) -> int:
        """The seed of a run that must choose the same members as another run."""
        return DEFAULT_SEED if self.seed is None else self.seed


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that a run has open, and its report."""

    options: RunOptions
    workers: Workers | None  # None if no image is decoded
    source: Archive
    writers: list[StoreWriter]
    added: AddedImages
    report: RunReport
    started: int  # seconds since 1970


@contextlib.contextmanager
def open_run(archives: Sequence[Path], outputs: list[Path], options: RunOptions) -> Iterator[Run]:
    """Open everything that a run needs. Raises UserError."""
    started = int(time.time())
    with contextlib.ExitStack() as opened:
        # The processes come first: they are forked, and neither threads nor HDF5 files may exist then.
        count = options.workers or cpu_count()
        workers = opened.enter_context(_start_workers(count)) if options.keeps_palettes else None
        options.summary.workers = count if workers else 0
        paths = expand_archives(archives)
        processes = opened.enter_context(processes_for_archives(paths, count))
        stop = opened.enter_context(stopping())
        labels = labels_in_source(options.label_options)
        source = opened.enter_context(
            open_paths(
                paths,
                options.index,
                ignore_zeros=options.ignore_zeros,
                labels=labels,
                processes=processes,
                follow_external=options.follow_external,
            )
        )
        writers = [opened.enter_context(StoreWriter(output)) for output in outputs]
        report = RunReport(source.path, stop, options.summary, labels=options.label_options.labels)
        yield Run(
            options=options,
            workers=workers,
            source=source,
            writers=writers,
            added=AddedImages(),
            report=report,
            started=started,
        )


def _start_workers(count: int) -> Workers:
    from imagestore.labelling.workers import Workers  # a run without palettes starts sooner without them

    return Workers(count)
