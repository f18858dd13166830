"""A picture that is described before it is drawn: boxes, thumbnails and texts at their places."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from imagestore.drawing.fonts import fitting_line, load_font

BLACK, GREY = "#000000", "#4d4d4d"


@dataclass(frozen=True)
class Text:
    """Lines of text. `anchor` says which point of them is at (x, y), as Pillow names it: "lm", "ma"."""

    x: float
    y: float
    lines: tuple[str, ...]
    size: int  # pixels
    colour: str = BLACK
    anchor: str = "lm"


@dataclass(frozen=True)
class Box:
    """A filled rectangle. Pixels; `right` and `bottom` are outside."""

    left: int
    top: int
    right: int
    bottom: int
    colour: str
    outline: str | None = None


@dataclass
class Canvas:
    """A white picture of `width` by `height` pixels, and what is drawn on it: boxes, images, then texts."""

    width: int
    height: int
    boxes: list[Box] = field(default_factory=list)
    images: list[tuple[int, int, Image.Image]] = field(default_factory=list)  # left, top, picture
    texts: list[Text] = field(default_factory=list)

    def write(
        self, x: float, y: float, text: str, size: int, width: float, colour: str = BLACK, anchor: str = "lm"
    ) -> None:
        """Add a text of one or several lines, each at most `width` pixels wide."""
        lines = tuple(fitting_line(line, load_font(size), width) for line in text.splitlines())
        self.texts.append(Text(x, y, lines, size, colour, anchor))

    def draw(self) -> Image.Image:
        """The picture."""
        picture = Image.new("RGB", (self.width, self.height), "white")
        drawer = ImageDraw.Draw(picture)
        for box in self.boxes:
            corners = (box.left, box.top, box.right - 1, box.bottom - 1)
            drawer.rectangle(corners, fill=box.colour, outline=box.outline)
        for left, top, image in self.images:
            picture.paste(image, (left, top))
        for text in self.texts:
            drawer.multiline_text((text.x, text.y), "\n".join(text.lines), **_style(text))
        return picture

    def place_of(self, text: Text) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a text in the picture."""
        drawer = ImageDraw.Draw(Image.new("RGB", (1, 1)))
        return drawer.multiline_textbbox(
            (text.x, text.y), "\n".join(text.lines), **_style(text, filled=False)
        )


def _style(text: Text, *, filled: bool = True) -> dict:
    """How Pillow draws the text."""
    style = {
        "font": load_font(text.size),
        "anchor": text.anchor,
        "align": "center" if text.anchor.startswith("m") else "left",
    }
    return {**style, "fill": text.colour} if filled else style
