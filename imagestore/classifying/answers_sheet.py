"""A contact sheet of answers: a row for each predicted label, right images in green, wrong ones in red."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.classifying.answer import Answer
from imagestore.console import printable

if TYPE_CHECKING:
    from imagestore.drawing.canvas import Canvas

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
        from imagestore.drawing.show_or_save import save_picture

        save_picture(self.canvas(source).draw(), path)
        return path

    def canvas(self, source: str) -> Canvas:
        """The sheet, before it is drawn."""
        from imagestore.drawing.contact_sheet import CaptionedImage, SheetRow, contact_sheet

        shown = sorted(sorted(self.rows, key=lambda label: -self.counts[label])[:ROWS])
        rows = [
            SheetRow(
                f"{printable(label)}\n{self.counts[label]:,}",
                [CaptionedImage(a.picture.data, _caption(a), _colour(a)) for a in self.rows[label]],
            )
            for label in shown
        ]
        some = f" (the {len(shown)} most predicted of {len(self.counts):,})" * (len(shown) < len(self.counts))
        return contact_sheet(rows, f"{source}: a row for each predicted label{some}")


def _caption(answer: Answer) -> str:
    """The two lines under a picture: the guess, and the true label if known."""
    from imagestore.drawing.contact_sheet import CaptionLine, caption_of_two

    guess = CaptionLine("", printable(answer.label), f" {100 * answer.confidence:.0f} %")
    if answer.is_wrong:
        return caption_of_two(guess, CaptionLine("true: ", printable(answer.picture.true_label or ""), ""))
    return "".join(guess) + ("\nright" if answer.is_right else "")


def _colour(answer: Answer) -> str | None:
    """The colour of a right or a wrong answer; None if the true label is not known."""
    if answer.is_wrong:
        return WRONG_COLOUR
    return RIGHT_COLOUR if answer.is_right else None
