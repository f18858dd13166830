"""A picture to classify, and the network's answer to it."""

from __future__ import annotations

from dataclasses import dataclass

from imagestore.console import printable


@dataclass(frozen=True)
class Picture:
    """An encoded image with its name in SOURCE; `true_label` is None if it is not known."""

    name: str
    data: bytes
    true_label: str | None


@dataclass(frozen=True)
class Answer:
    """The label that the network predicts for a picture, and its probability, 0 to 1."""

    picture: Picture
    label: str
    confidence: float

    @property
    def is_right(self) -> bool:
        """Whether the predicted label is the true one."""
        return self.label == self.picture.true_label

    def line(self) -> str:
        """The line that is printed: name, label, confidence, and the true label if it is known."""
        line = f"{printable(self.picture.name)}  {printable(self.label)}  {100 * self.confidence:.1f} %"
        if self.picture.true_label is None:
            return line
        return f"{line}  right" if self.is_right else f"{line}  wrong: {printable(self.picture.true_label)}"

    def caption(self) -> str:
        """The text under the picture in the contact sheet: the confidence, and the true label if known."""
        confidence = f"{100 * self.confidence:.0f} %"
        if self.picture.true_label is None:
            return confidence
        return f"right, {confidence}" if self.is_right else f"{self.picture.true_label}, {confidence}"
