"""Files that are no images and no archives that are read here: what each is called, and what to do with it.

To add a kind, add a row to KINDS. Formats of images are in image_formats.py, archives in open_archive.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from imagestore.image_formats import format_of

TEXT_BYTES = 512  # of the beginning, which tell whether a file is text

ARCHIVES, POINTERS, PAGES = "archives", "pointers", "HTML pages"
RAW, VIDEOS, DRAWINGS, PDF, ARRAYS = "raw camera files", "videos", "drawings", "PDF files", "arrays"
OTHER_FORMATS = "images of other formats"
NAMES_OF_FORMATS = {"HEIF": "HEIC"}  # those that people know better

# What to do if an archive holds no image, but files of this kind.
ADVICE_FOR_MEMBERS = {
    ARCHIVES: "unpack the inner archives and give the folder",
    POINTERS: "fetch the files themselves (git lfs pull, git annex get, dvc pull), then pack them again",
    PAGES: "a server sent them in place of images: download these again",
    RAW: "develop them to TIFF or JPEG first (darktable-cli, dcraw)",
    VIDEOS: "take pictures from them first (ffmpeg -i VIDEO %06d.png)",
    DRAWINGS: "draw them as PNG first (rsvg-convert, gs)",
    PDF: "take the pictures out of them first (pdfimages)",
    ARRAYS: "write the pictures in them to image files first",
    OTHER_FORMATS: "convert them to PNG or TIFF first",
    "files of zeros": "a copy of them did not end: copy or download them again",
    "empty files": "a copy of them did not end: copy or download them again",
}


@dataclass(frozen=True)
class FileKind:
    """A row of the table."""

    one: str  # what one such file is: "a zip file"
    members: str  # what a run calls such members of an archive; if empty, it calls them no images
    advice: str  # what to do if such a file is given as an archive
    begins: Callable[[bytes], bool]  # whether a file with these first bytes is one


def kind_of(data: bytes) -> FileKind | None:
    """The kind of a file with these first bytes, if it is known."""
    return next((kind for kind in KINDS if kind.begins(data)), None)


def members_of_kind(name: str, data: bytes) -> str:
    """What a run calls a member that is no image: by the suffix of its name, or by its first bytes."""
    found = SUFFIXES.get(_suffix(name))
    if found is None and (kind := kind_of(data)) is not None:
        found = kind.members
    return found or "not images"


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower()


_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body|script|title)\b", re.IGNORECASE)
_XML = re.compile(rb"<\?xml\b[^>]*>", re.IGNORECASE)
_NO_TEXT = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))


def _is_page(data: bytes) -> bool:
    return _PAGE.match(_markup(data)) is not None


def _is_svg(data: bytes) -> bool:
    return _markup(data).lower().startswith((b"<svg", b"<!doctype svg"))


def _markup(data: bytes) -> bytes:
    """The beginning of a text without what may stand before its first element."""
    text = _XML.sub(b"", data[:TEXT_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip(), count=1).lstrip()
    while text.startswith(b"<!--") and b"-->" in text:
        text = text.partition(b"-->")[2].lstrip()
    return text


def _is_text(data: bytes) -> bool:
    """Text in UTF-8, of more than one word; its last character may be cut."""
    text = data[:TEXT_BYTES]
    if len(text.split()) < 2 or text.translate(None, _NO_TEXT) != text:
        return False
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return len(text) == TEXT_BYTES and error.start > TEXT_BYTES - 4
    return True


def _is_lzma(data: bytes) -> bool:
    """LZMA alone: the usual properties, a dictionary of a usual size, a size that is unknown or sensible."""
    if len(data) < 13 or data[0] != 0x5D:
        return False
    dictionary, size = int.from_bytes(data[1:5], "little"), data[5:13]
    return (
        dictionary.bit_count() <= 2 and dictionary >= 1 << 12 and (size == b"\xff" * 8 or not any(size[5:]))
    )


def _is_raw(data: bytes) -> bool:
    is_canon = (data.startswith(b"II*\0") and data[8:10] == b"CR") or data[4:12] == b"ftypcrx "
    return is_canon or data.startswith((b"FUJIFILMCCD-RAW", b"IIRO", b"IIU\0", b"FOVb", b"\0MRM"))


def _is_arrow_stream(data: bytes) -> bool:
    """A stream of Arrow: a mark, and the size of the schema behind it, of at most 64 KiB."""
    return data[:4] == b"\xff\xff\xff\xff" and len(data) > 8 and data[6:8] == b"\0\0"


def _is_tfrecord(data: bytes) -> bool:
    """Records of TensorFlow: a size of 8 bytes, its checksum, and an Example, which begins with a field 1."""
    return data[4:8] == b"\0\0\0\0" and data[:4] != b"\0\0\0\0" and data[12:13] == b"\x0a"


def _is_video(data: bytes) -> bool:
    is_avi = data.startswith(b"RIFF") and data[8:12] == b"AVI "
    is_mpeg = data.startswith((b"\0\0\1\xba", b"\0\0\1\xb3"))
    is_other = data.startswith((b"\x1a\x45\xdf\xa3", b"FLV\1", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"))
    return is_avi or is_mpeg or is_other or data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide")


def kind_of_undecodable(name: str, data: bytes) -> tuple[str, str]:
    """What a run calls images like this one, which cannot be decoded; and what it is, "" if it is one."""
    image_format, kind = format_of(data), kind_of(data)
    if (kind is not None and kind.members == RAW) or SUFFIXES.get(_suffix(name)) == RAW:  # some are TIFFs
        return RAW, ""
    if image_format is not None and not image_format.only_by_name:
        return NAMES_OF_FORMATS.get(image_format.name, image_format.name), ""
    if kind is not None:
        return kind.members or f"{kind.one.partition(' ')[2]}s", kind.one
    if not data.strip(b"\0"):
        return ("files of zeros", "only zeros") if data else ("empty files", "an empty file")
    return "files of an unknown kind", ""


def _kind(one: str, members: str, advice: str, *marks: bytes, at: int = 0) -> FileKind:
    """A kind that has one of these marks at an offset."""
    return FileKind(one, members, advice, lambda data: data.startswith(marks, at))


_TO_FOLDER = "unpack it ({}) and give the folder"
_TO_TAR = "decompress it ({}) and give the .tar"
_TO_FILES = "write the pictures in it to image files first, and give their folder"
_DECOMPRESS = "decompress it first"  # as it is, it is read
_CONVERT = "convert it to PNG or TIFF first"

TEXT = FileKind("a text file", "", "perhaps a server sent an error in place of the archive", _is_text)

KINDS = (
    FileKind(
        "an HTML page", PAGES,
        "a server sent it in place of the archive: download it again, and log in there if you must", _is_page,
    ),
    _kind("a git-lfs pointer", POINTERS, "git lfs pull fetches the file itself",
          b"version https://git-lfs.github.com/", b"version https://hawser.github.com/"),
    _kind("a git-annex pointer", POINTERS, "git annex get fetches the file itself",
          b"/annex/objects/", b"../.git/annex/objects/", b".git/annex/objects/"),
    _kind("a DVC pointer", POINTERS, "dvc pull fetches the files themselves",
          b"outs:\n- md5:", b"outs:\n- hash:", b"outs:\n- etag:", b"outs:\n- size:", b"md5:"),
    # archives
    _kind("a zip file", ARCHIVES, _TO_FOLDER.format("unzip"), b"PK\3\4", b"PK\5\6", b"PK\7\x08", b"PK00PK"),
    _kind("a 7z archive", ARCHIVES, _TO_FOLDER.format("7z x"), b"7z\xbc\xaf\x27\x1c"),
    _kind("a RAR archive", ARCHIVES, _TO_FOLDER.format("unrar x"), b"Rar!\x1a\7"),
    _kind("a cpio archive", ARCHIVES, _TO_FOLDER.format("cpio -id"),
          b"070701", b"070702", b"070707", b"\xc7\x71", b"\x71\xc7"),
    _kind("a Debian package", ARCHIVES, _TO_FOLDER.format("dpkg-deb -x"), b"!<arch>\ndebian"),
    _kind("an ar archive", ARCHIVES, _TO_FOLDER.format("ar x"), b"!<arch>\n"),
    _kind("an RPM package", ARCHIVES, _TO_FOLDER.format("rpm2cpio"), b"\xed\xab\xee\xdb"),
    _kind("a cabinet file", ARCHIVES, _TO_FOLDER.format("7z x"), b"MSCF\0\0\0\0"),
    _kind("a xar archive", ARCHIVES, _TO_FOLDER.format("7z x"), b"xar!\0"),
    _kind("an LHA archive", ARCHIVES, _TO_FOLDER.format("7z x"), b"-lh", at=2),
    _kind("a SquashFS image", ARCHIVES, _TO_FOLDER.format("unsquashfs"), b"hsqs", b"sqsh"),
    _kind("an ISO image", ARCHIVES, _TO_FOLDER.format("7z x"), b"CD001", at=0x8001),
    _kind("compressed by gzip", ARCHIVES, _TO_TAR.format("gzip -d"), b"\x1f\x8b\x08"),
    _kind("compressed by bzip2", ARCHIVES, _TO_TAR.format("bzip2 -d"), b"BZh"),
    _kind("compressed by xz", ARCHIVES, _TO_TAR.format("xz -d"), b"\xfd7zXZ\0"),
    _kind("compressed by zstd", ARCHIVES, _TO_TAR.format("zstd -d"),
          b"\x28\xb5\x2f\xfd", *(bytes([i]) + b"\x2a\x4d\x18" for i in range(0x50, 0x60))),
    _kind("compressed by lz4", ARCHIVES, _TO_TAR.format("lz4 -d"), b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"),
    _kind("compressed by lzip", ARCHIVES, _TO_TAR.format("lzip -d"), b"LZIP"),
    _kind("compressed by lzop", ARCHIVES, _TO_TAR.format("lzop -d"), b"\x89LZO\0\r\n\x1a\n"),
    _kind("compressed by compress (.Z)", ARCHIVES, _TO_TAR.format("gzip -d"), b"\x1f\x9d", b"\x1f\xa0"),
    _kind("compressed by Snappy", ARCHIVES, _TO_TAR.format("snzip -d"), b"\xff\6\0\0sNaPpY"),
    FileKind("compressed by LZMA alone", ARCHIVES, _TO_TAR.format("xz --format=lzma -d"), _is_lzma),
    _kind("a tar archive, damaged at its beginning", ARCHIVES, "download or copy it again", b"ustar", at=257),
    _kind("an encrypted file", ARCHIVES, "decrypt it first",
          b"Salted__", b"-----BEGIN PGP MESSAGE", b"age-encryption.org/"),
    # arrays and databases
    _kind("a Parquet file", ARRAYS, _DECOMPRESS, b"PAR1"),
    _kind("an Arrow file", ARRAYS, _TO_FILES, b"ARROW1", b"FEA1"),
    FileKind("an Arrow file", ARRAYS, _TO_FILES, _is_arrow_stream),
    FileKind("a TFRecord file", ARRAYS, _TO_FILES, _is_tfrecord),
    _kind("an IDX file, as MNIST has them", ARRAYS, _TO_FILES, b"\0\0\x08\1", b"\0\0\x08\3"),
    _kind("a NumPy array", ARRAYS, _TO_FILES, b"\x93NUMPY"),
    _kind("a Python pickle", ARRAYS, _TO_FILES, b"\x80\2", b"\x80\3", b"\x80\4\x95", b"\x80\5\x95"),
    _kind("a MATLAB file", ARRAYS, _DECOMPRESS, b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"),
    _kind("an SQLite database", ARRAYS, _TO_FILES, b"SQLite format 3\0"),
    _kind("an LMDB database", ARRAYS, _TO_FILES, b"\xde\xc0\xef\xbe", at=16),
    _kind("a record file of MXNet", ARRAYS, _TO_FILES, b"\x0a\x23\xd7\xce"),
    _kind("an HDF5 file", ARRAYS, _DECOMPRESS, b"\x89HDF\r\n\x1a\n"),
    # pictures that are not read
    FileKind("a raw camera file", RAW, "develop it first (darktable-cli, dcraw)", _is_raw),
    FileKind("an SVG drawing", DRAWINGS, "draw it as PNG first (rsvg-convert)", _is_svg),
    _kind("a PostScript file", DRAWINGS, "draw it as PNG first (gs)", b"%!PS", b"\xc5\xd0\xd3\xc6"),
    _kind("a PDF file", PDF, "take the pictures out of it first (pdfimages)", b"%PDF-"),
    _kind("a JPEG XL image", OTHER_FORMATS, _CONVERT, b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    _kind("an OpenEXR image", OTHER_FORMATS, _CONVERT, b"v/1\1"),
    _kind("a Radiance image", OTHER_FORMATS, _CONVERT, b"#?RADIANCE", b"#?RGBE"),
    _kind("a FITS image", OTHER_FORMATS, _CONVERT, b"SIMPLE  ="),
    _kind("a GIMP image", OTHER_FORMATS, _CONVERT, b"gimp xcf"),
    _kind("a DjVu document", OTHER_FORMATS, _CONVERT, b"AT&TFORM"),
    _kind("a DICOM image", OTHER_FORMATS, _CONVERT, b"DICM", at=128),
    FileKind("a video", VIDEOS, "take pictures from it first (ffmpeg -i VIDEO %06d.png)", _is_video),
    # others
    _kind("a program", "", "give an archive of images", b"\x7fELF", b"MZ\x90\0", b"#!"),
    TEXT,
)  # fmt: skip

_SUFFIXES_OF_MEMBERS = {
    ARCHIVES: "7z ar bz2 cab cpio deb gz iso lz lz4 lzma rar rpm sqfs squashfs tar tbz tgz txz xz z zip zst",
    RAW: "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mrw nef nrw orf pef raf rw2 rwl sr2 srf srw x3f",
    VIDEOS: "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv webm wmv",
    DRAWINGS: "ai eps ps svg svgz",
    PDF: "pdf",
    ARRAYS: "arrow feather h5 hdf hdf5 lmdb mat mdb npy npz parquet pickle pkl rec tfrecord tfrecords",
    OTHER_FORMATS: "bpg czi dcm djvu exr fit fits flif fts hdr jxl jxr nii psb svs wdp xcf",
    POINTERS: "dvc",
}
SUFFIXES = {
    suffix: members for members, suffixes in _SUFFIXES_OF_MEMBERS.items() for suffix in suffixes.split()
}
