"""Count the answers: how many are right, in all and of each label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imagestore.classifying.answer import Answer
from imagestore.console import counted, printable
from imagestore.text_width import padded, text_width
from imagestore.training.last_lines import percent
from imagestore.training.predictions import Predictions

LABELS_NAMED = 3  # of those that the network was not trained on
TITLES = ("label", "precision", "recall", "images", "predicted")


class Accuracy:
    """How many answers are right. A true label that the network was not trained on counts as wrong.

    Labels are equal by their names, whatever their order in the store.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        """`labels` are those that the network was trained on."""
        self.trained = len(labels)
        self.predictions = Predictions(labels)
        self._numbers = {label: number for number, label in enumerate(labels)}
        self.answers = 0

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        self.answers += 1
        true_label = answer.picture.true_label
        if true_label is None:
            return
        if true_label not in self._numbers:
            self._numbers[true_label] = len(self.predictions.labels)
            self.predictions.labels.append(true_label)
        self.predictions.add_one(self._numbers[answer.label], self._numbers[true_label])

    @property
    def with_true_label(self) -> int:
        """The number of answers whose true label is known."""
        return self.predictions.count

    def lines(self) -> Iterator[str]:
        """The accuracy and the balanced accuracy; nothing if no true label is known."""
        found = self.predictions
        if not found.count:
            return
        yield f"accuracy {percent(found.accuracy)} ({found.right:,} of {found.count:,})"
        yield f"balanced accuracy {percent(found.balanced_accuracy)}"

    def untrained_line(self) -> str:
        """What to say of true labels that the network was not trained on; "" if there are none."""
        untrained = self.predictions.labels[self.trained :]
        if not untrained:
            return ""
        true = self.predictions.true_counts()
        images = sum(true[number] for number in range(self.trained, len(self.predictions.labels)))
        named = ", ".join(map(printable, untrained[:LABELS_NAMED]))
        others = f" and {len(untrained) - LABELS_NAMED:,} more" if len(untrained) > LABELS_NAMED else ""
        rest = self.predictions.count - images
        have = counted(images, "of them has", "of them have")
        line = f"{have} a label that the network was not trained on ({named}{others})"
        if not rest:
            return line
        right = self.predictions.right
        return f"{line}; of the others, {percent(right / rest)} are right ({right:,} of {rest:,})"

    def report(self) -> Iterator[str]:
        """A table with a line for each label that has images or was predicted."""
        rows = list(self.predictions.per_label())
        shown = [row for row in rows if row.count or row.predicted]
        cells = [TITLES] + [
            (
                printable(row.label),
                percent(row.precision),
                percent(row.recall),
                f"{row.count:,}",
                f"{row.predicted:,}",
            )
            for row in shown
        ]
        widths = [max(map(text_width, column)) for column in zip(*cells, strict=True)]
        for label, *numbers in cells:
            aligned = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
            yield "  ".join([padded(label, widths[0]), *aligned])
        if left_out := len(rows) - len(shown):
            have = counted(left_out, "more label has", "more labels have")
            yield f"{have} no image here and {'was' if left_out == 1 else 'were'} never predicted"
