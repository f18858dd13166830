"""A contact sheet of answers: a row for each predicted label, right images in green, wrong ones in red."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from imagestore.classifying.answer import Answer
from imagestore.console import printable

COLUMNS = 8  # images of each predicted label, at most
ROWS = 50  # labels, at most
SEED = 0  # the same answers give the same sheet
RIGHT_COLOUR, WRONG_COLOUR = "#1a7f37", "#c62828"  # told apart by their brightness, too


class AnswersSheet:
    """A sample of the answers of each predicted label, and their number. Keeps the images of few labels.

    Answers come in the order of their true labels. So each is as likely as the others to be shown.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()  # by predicted label
        self.rows: dict[str, list[Answer]] = {}  # by predicted label
        self._random = random.Random(SEED)

    def add(self, answer: Answer) -> None:
        """Count one answer, and perhaps keep it."""
        self.counts[answer.label] += 1
        row = self.rows.setdefault(answer.label, [])
        if len(row) == COLUMNS and (place := self._random.randrange(self.counts[answer.label])) < COLUMNS:
            del row[place]
        if len(row) < COLUMNS:
            row.append(answer)
        if len(self.rows) > 2 * ROWS:
            others = [label for label in self.rows if label != answer.label]
            del self.rows[min(others, key=self.counts.__getitem__)]

    def save(self, source: str, path: Path) -> Path:
        """Draw the sheet into a file, and return its path. Raises UserError, OSError."""
        from imagestore.drawing.contact_sheet import CaptionedImage, SheetRow, contact_sheet
        from imagestore.drawing.show_or_save import save_picture

        shown = sorted(sorted(self.rows, key=lambda label: -self.counts[label])[:ROWS])
        rows = [
            SheetRow(
                f"{printable(label)}\n{self.counts[label]:,}",
                [CaptionedImage(a.picture.data, a.caption(), _colour(a)) for a in self.rows[label]],
            )
            for label in shown
        ]
        some = f" (the {len(shown)} most predicted of {len(self.counts):,})" * (len(shown) < len(self.counts))
        heading = f"{source}: a row for each predicted label{some}"
        save_picture(contact_sheet(rows, heading).draw(), path)
        return path


def _colour(answer: Answer) -> str | None:
    """The colour of a right or a wrong answer; None if the true label is not known."""
    if answer.is_wrong:
        return WRONG_COLOUR
    return RIGHT_COLOUR if answer.is_right else None
