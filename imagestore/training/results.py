"""The files that a training leaves beside its weights: pictures and a report.

The weights are written before. So nothing that goes wrong here ends a training: it is told in one line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from imagestore.console import UserError, describe, describe_missing, describe_unexpected, note
from imagestore.training.metrics_file import METRICS_FILE
from imagestore.training.plots import save_confusion_plot, save_training_plot
from imagestore.training.predictions import Predictions
from imagestore.training.report_file import save_report

TRAINING_PLOT, CONFUSION_PLOT, REPORT_FILE = "training.png", "confusion.png", "report.json"


def save_results_files(
    folder: Path,
    settings: object,
    network: object,
    predictions: Predictions,
    extra: Mapping[str, object] | None = None,
) -> list[str]:
    """Write report.json, training.png and confusion.png into the folder; return the names of those written.

    The arguments are those of `save_report`. training.png needs a metrics.csv in the folder, confusion.png
    needs predictions. Raises nothing that a file could cause.
    """
    written = []
    with told(REPORT_FILE):
        save_report(folder / REPORT_FILE, settings, network, predictions, extra)
        written.append(REPORT_FILE)
    if (folder / METRICS_FILE).exists():
        with told(TRAINING_PLOT):
            save_training_plot(folder / METRICS_FILE, folder / TRAINING_PLOT)
            written.append(TRAINING_PLOT)
    if predictions.count:
        with told(CONFUSION_PLOT):
            save_confusion_plot(predictions, folder / CONFUSION_PLOT)
            written.append(CONFUSION_PLOT)
    return written


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Tell the user in one line if the block fails to write the file `name`, and go on behind the block."""
    try:
        yield
    except UserError as error:
        _note(name, str(error))
    except OSError as error:
        _note(name, describe(error))
    except ModuleNotFoundError as error:
        _note(name, describe_missing(error))
    except Exception as error:  # matplotlib and its fonts have errors of their own, and the weights are safe
        _note(name, describe_unexpected(error))


def _note(name: str, reason: str) -> None:
    note(f"train_model: {name} was not written: {' '.join(reason.split())}")
