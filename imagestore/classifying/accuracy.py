"""Count the answers: how many are right, and which of them a contact sheet shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagestore.classifying.answer import Answer
from imagestore.console import note, printable

SHEET_COLUMNS = 8  # images of each predicted label in the contact sheet, at most


@dataclass
class Accuracy:
    """How many answers are right, and the first answers of each predicted label."""

    labels: Sequence[str]  # that the network was trained on
    answers: int = 0
    with_true_label: int = 0
    right: int = 0
    untrained: int = 0  # with a true label that is not among `labels`
    sheet: dict[str, list[Answer]] = field(default_factory=dict)  # by predicted label

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        true_label = answer.picture.true_label
        self.answers += 1
        self.with_true_label += true_label is not None
        self.right += answer.is_right
        self.untrained += true_label is not None and true_label not in self.labels
        row = self.sheet.setdefault(answer.label, [])
        if len(row) < SHEET_COLUMNS:
            row.append(answer)

    def print_line(self) -> None:
        """Print the accuracy, if any true label is known."""
        if not self.with_true_label:
            return
        percent = 100 * self.right / self.with_true_label
        print(f"accuracy {percent:.1f} % ({self.right:,} of {self.with_true_label:,})")
        if self.untrained:
            note(f"classify: {self.untrained:,} of them have a label that the network was not trained on")

    def save_sheet(self, source: str, path: Path) -> None:
        """Draw the contact sheet of `source` into a file, and print its path. Raises UserError, OSError."""
        from imagestore.reports.drawing import CaptionedImage, SheetRow, contact_sheet, show_or_save

        rows = [
            SheetRow(label, [CaptionedImage(answer.picture.data, answer.caption()) for answer in answers])
            for label, answers in sorted(self.sheet.items())
        ]
        figure = contact_sheet(rows, f"{source}: predicted label of each row, true label of each image")
        print(f"wrote {printable(str(show_or_save(figure, path, path)))}")
