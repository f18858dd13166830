"""A finished picture: in a window where there is a screen, else in a file."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from PIL import Image

from imagestore.console import UserError
from imagestore.drawing.picture_file import write_picture

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".pdf": "PDF",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
OF_SCREEN = 0.9  # a larger picture is made smaller


def show_or_save(picture: Image.Image, output: Path | None, default: Path) -> Path | None:
    """Show the picture in a window if there is a screen and no `output`; return None.

    Otherwise write it, whole or not at all, to `output` or else to `default`; return that path. The suffix
    chooses the format. Raises UserError.
    """
    if output is None and _has_screen() and _show_in_window(picture):
        return None
    path = output or default
    save_picture(picture, path)
    return path


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write the picture, whole or not at all; the suffix chooses the format. Raises UserError."""
    suffix = format_suffix(path)
    encoded = io.BytesIO()
    try:
        picture.save(encoded, FORMATS[suffix])
    except (OSError, ValueError) as error:  # some formats have a largest size
        raise UserError(f"{path}: cannot be written as {suffix} ({error}); choose .png") from None
    write_picture(encoded.getvalue(), path)


def format_suffix(path: Path) -> str:
    """The suffix of the picture's format, such as ".png". Raises UserError if there is no such format."""
    suffix = path.suffix.lower() or ".png"
    if suffix not in FORMATS:
        raise UserError(f"{path}: pictures are not written as {suffix}; choose one of {', '.join(FORMATS)}")
    return suffix


def _has_screen() -> bool:
    return sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _show_in_window(picture: Image.Image) -> bool:
    """Show the picture until its window is closed; return False if no window can be opened."""
    try:
        import tkinter

        from PIL import ImageTk
    except ImportError:  # many Pythons have no Tk
        return False
    try:
        window = tkinter.Tk()
    except tkinter.TclError:  # the screen does not answer
        return False
    picture.thumbnail((OF_SCREEN * window.winfo_screenwidth(), OF_SCREEN * window.winfo_screenheight()))
    shown = ImageTk.PhotoImage(picture, master=window)
    tkinter.Label(window, image=shown).pack()
    window.mainloop()
    return True
