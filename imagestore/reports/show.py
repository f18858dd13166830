"""The command `show`: an image beside its colours, or the label sheet of a store."""

from __future__ import annotations

from pathlib import Path

from imagestore import stored_names
from imagestore.console import UserError, printable
from imagestore.decode.errors import NotAnImage
from imagestore.drawing.canvas import Canvas
from imagestore.drawing.show_or_save import show_or_save
from imagestore.hdf5.superblock import is_hdf5
from imagestore.reports.find_images import find_images
from imagestore.reports.found_image import FoundImage
from imagestore.reports.label_sheet import draw_label_sheet
from imagestore.reports.palette_picture import palette_picture
from imagestore.reports.source_options import SourceOptions
from imagestore.tables.hdf5_archive import is_archive_of_arrays


def show(
    source: str,
    name: str | None,
    *,
    output: Path | None = None,
    options: SourceOptions,
) -> int:
    """Show an image beside its colours. Without a `name`, show a sheet of the labels of a store.

    The picture is shown in a window if there is a screen and no `output`, else it is written to a file whose
    path is printed. Returns the exit status. Raises UserError.
    """
    path = Path(source)
    if name is None and path.is_file() and is_hdf5(path) and not is_archive_of_arrays(path):
        canvas, default = draw_label_sheet(path, options.follow_external), Path(f"{path.stem}_labels.png")
    else:
        canvas, default = _draw_image(path, name, options)
    written = show_or_save(canvas.draw(), output, default)
    if written:
        print(written)
    return 0


def _draw_image(path: Path, name: str | None, options: SourceOptions) -> tuple[Canvas, Path]:
    """A picture of one image, and the default path of its file."""
    names = [] if name is None else [name]
    with find_images(path, options, names=names) as found:
        images = list(found)
        if len(images) != 1:
            matches = "" if name is None else f"; {name!r} matches {len(images):,}"
            raise UserError(f"{path}: show needs the NAME of one image{matches}")
        image = images[0]
        return _draw_with_palette(image), Path(f"{Path(stored_names.to_path(image.name)).stem}_colours.png")


def _draw_with_palette(image: FoundImage) -> Canvas:
    try:
        label, palette = image.label_and_palette()
        return palette_picture(image.read(), palette, f"{image.name}   {label}")
    except NotAnImage as error:
        raise UserError(f"{printable(image.name)}: {error}") from None
