"""A picture to classify, and the network's answer to it: as a line, as JSON, and as a row of a table."""

from __future__ import annotations

import json
from dataclasses import dataclass

from imagestore.console import printable


@dataclass(frozen=True)
class Picture:
    """An encoded image with its name in SOURCE; `true_label` is None if it is not known."""

    name: str
    data: bytes
    true_label: str | None
    source: str | None = None  # the path of its store or archive, if SOURCE is several


@dataclass(frozen=True)
class Guess:
    """A label, and its probability, 0 to 1."""

    label: str
    confidence: float


@dataclass(frozen=True)
class Answer:
    """The likeliest labels of a picture by the network, the likeliest first; at least one."""

    picture: Picture
    guesses: tuple[Guess, ...]

    @property
    def label(self) -> str:
        """The predicted label: the likeliest."""
        return self.guesses[0].label

    @property
    def confidence(self) -> float:
        """The probability of the predicted label, 0 to 1."""
        return self.guesses[0].confidence

    @property
    def is_right(self) -> bool:
        """Whether the predicted label is the true one."""
        return self.label == self.picture.true_label

    @property
    def is_wrong(self) -> bool:
        """Whether the true label is known, and is not the predicted one."""
        return self.picture.true_label not in (None, self.label)

    def line(self) -> str:
        """The line that is printed: name, labels with confidences, and the true label if it is known."""
        guesses = [f"{printable(guess.label)}  {100 * guess.confidence:.1f} %" for guess in self.guesses]
        line = "  ".join([printable(self.picture.name), *guesses])
        if self.picture.true_label is None:
            return line
        return f"{line}  right" if self.is_right else f"{line}  wrong: {printable(self.picture.true_label)}"

    def json(self) -> str:
        """A JSON object on one line; `right` and `true_label` are null if the true label is not known.

        If there are several guesses, they are in `top`; of several stores, `source` is that of the image.
        """
        found: dict[str, object] = {
            "name": self.picture.name, "label": self.label, "confidence": _rounded(self.confidence),
            "true_label": self.picture.true_label,
            "right": None if self.picture.true_label is None else self.is_right,
        }  # fmt: skip
        if len(self.guesses) > 1:
            found["top"] = [{"label": g.label, "confidence": _rounded(g.confidence)} for g in self.guesses]
        if self.picture.source is not None:
            found["source"] = self.picture.source
        return json.dumps(found)

    def row(self) -> list[str]:
        """The cells of a table's row, in the order of `columns`."""
        cells = [self.picture.name, self.label, f"{self.confidence:.6f}", self.picture.true_label or ""]
        for guess in self.guesses[1:]:
            cells += [guess.label, f"{guess.confidence:.6f}"]
        return cells if self.picture.source is None else [*cells, self.picture.source]


def columns(guesses: int, with_source: bool = False) -> list[str]:
    """The titles of a table of answers with so many guesses each; `with_source` for several stores."""
    titles = ["name", "label", "confidence", "true_label"]
    for number in range(2, guesses + 1):
        titles += [f"label_{number}", f"confidence_{number}"]
    return [*titles, "source"] if with_source else titles


def _rounded(confidence: float) -> float:
    return round(confidence, 6)
