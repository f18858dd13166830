"""libfuse 3's low-level interface: its functions and structures, as ctypes needs them.

The names are those of libfuse's fuse_lowlevel.h, whose functions keep their binary interface in all versions
3.x. Only what a read-only file system needs is here. No Python package is needed.
"""

from __future__ import annotations

import ctypes
import struct
from ctypes import CFUNCTYPE, c_char_p, c_double, c_int, c_long, c_size_t, c_uint32, c_uint64, c_void_p

FUSE_CAP_NO_OPENDIR_SUPPORT = 1 << 24

# struct fuse_lowlevel_ops, as far as it has been in all versions 3.x. Later versions have more behind it.
OPERATIONS = [
    "init", "destroy", "lookup", "forget", "getattr", "setattr", "readlink", "mknod", "mkdir",
    "unlink", "rmdir", "symlink", "rename", "link", "open", "read", "write", "flush", "release",
    "fsync", "opendir", "readdir", "releasedir", "fsyncdir", "statfs", "setxattr", "getxattr",
    "listxattr", "removexattr", "access", "create", "getlk", "setlk", "bmap", "ioctl", "poll",
    "write_buf", "retrieve_reply", "forget_multi", "flock", "fallocate", "readdirplus",
]  # fmt: skip
# The arguments of the callbacks that are used. The first is the request; that of init is user data.
PROTOTYPES = {
    "init": CFUNCTYPE(None, c_void_p, c_void_p),
    "lookup": CFUNCTYPE(None, c_void_p, c_uint64, c_char_p),
    "forget": CFUNCTYPE(None, c_void_p, c_uint64, c_uint64),
    "getattr": CFUNCTYPE(None, c_void_p, c_uint64, c_void_p),
    "readlink": CFUNCTYPE(None, c_void_p, c_uint64),
    "open": CFUNCTYPE(None, c_void_p, c_uint64, c_void_p),
    "read": CFUNCTYPE(None, c_void_p, c_uint64, c_size_t, c_long, c_void_p),
    "release": CFUNCTYPE(None, c_void_p, c_uint64, c_void_p),
    "opendir": CFUNCTYPE(None, c_void_p, c_uint64, c_void_p),
    "readdir": CFUNCTYPE(None, c_void_p, c_uint64, c_size_t, c_long, c_void_p),
    "readdirplus": CFUNCTYPE(None, c_void_p, c_uint64, c_size_t, c_long, c_void_p),
    "statfs": CFUNCTYPE(None, c_void_p, c_uint64),
    "getxattr": CFUNCTYPE(None, c_void_p, c_uint64, c_char_p, c_size_t),
    "listxattr": CFUNCTYPE(None, c_void_p, c_uint64, c_size_t),
}
# Function -> its result and its arguments.
FUNCTIONS = {
    "fuse_version": (c_int, []),
    "fuse_session_new": (c_void_p, [c_void_p, c_void_p, c_size_t, c_void_p]),
    "fuse_session_mount": (c_int, [c_void_p, c_char_p]),
    "fuse_session_fd": (c_int, [c_void_p]),
    "fuse_session_receive_buf": (c_int, [c_void_p, c_void_p]),
    "fuse_session_process_buf": (None, [c_void_p, c_void_p]),
    "fuse_session_unmount": (None, [c_void_p]),
    "fuse_session_destroy": (None, [c_void_p]),
    "fuse_opt_free_args": (None, [c_void_p]),
    "fuse_parse_conn_info_opts": (c_void_p, [c_void_p]),
    "fuse_apply_conn_info_opts": (None, [c_void_p, c_void_p]),
    "fuse_reply_err": (c_int, [c_void_p, c_int]),
    "fuse_reply_none": (None, [c_void_p]),
    "fuse_reply_entry": (c_int, [c_void_p, c_void_p]),
    "fuse_reply_attr": (c_int, [c_void_p, c_void_p, c_double]),
    "fuse_reply_open": (c_int, [c_void_p, c_void_p]),
    "fuse_reply_buf": (c_int, [c_void_p, c_void_p, c_size_t]),
    "fuse_reply_readlink": (c_int, [c_void_p, c_char_p]),
    "fuse_reply_statfs": (c_int, [c_void_p, c_void_p]),
    "fuse_reply_xattr": (c_int, [c_void_p, c_size_t]),
    "fuse_add_direntry": (c_size_t, [c_void_p, c_void_p, c_size_t, c_char_p, c_void_p, c_long]),
    "fuse_add_direntry_plus": (c_size_t, [c_void_p, c_void_p, c_size_t, c_char_p, c_void_p, c_long]),
}
STAT_TIMES = [(f"st_{kind}time{part}", c_long) for kind in ("a", "m", "c") for part in ("", "_nsec")]
# struct stat on x86_64 and POWER, then on ARM and RISC-V. A check finds out which one is right.
STAT_LAYOUTS = (
    [
        ("st_dev", c_uint64), ("st_ino", c_uint64), ("st_nlink", c_uint64), ("st_mode", c_uint32),
        ("st_uid", c_uint32), ("st_gid", c_uint32), ("padding", c_uint32), ("st_rdev", c_uint64),
        ("st_size", c_long), ("st_blksize", c_long), ("st_blocks", c_long), *STAT_TIMES,
        ("unused", c_long * 3),
    ],
    [
        ("st_dev", c_uint64), ("st_ino", c_uint64), ("st_mode", c_uint32), ("st_nlink", c_uint32),
        ("st_uid", c_uint32), ("st_gid", c_uint32), ("st_rdev", c_uint64), ("padding", c_uint64),
        ("st_size", c_long), ("st_blksize", c_int), ("padding_2", c_int), ("st_blocks", c_long), *STAT_TIMES,
        ("unused", c_int * 2),
    ],
)  # fmt: skip
# struct fuse_direntplus of the kernel (linux/fuse.h), up to the name.
DIRENTPLUS = struct.Struct("=QQQQIIQQQQQQIIIIIIIIIIQQII")


class Arguments(ctypes.Structure):
    """struct fuse_args."""

    _fields_ = [("argc", c_int), ("argv", ctypes.POINTER(c_char_p)), ("allocated", c_int)]


class Buffer(ctypes.Structure):
    """struct fuse_buf. Some versions have more behind it."""

    _fields_ = [
        ("size", c_size_t),
        ("flags", c_int),
        ("memory", c_void_p),
        ("fd", c_int),
        ("position", c_long),
        ("more", c_size_t * 8),
    ]


class Operations(ctypes.Structure):
    """struct fuse_lowlevel_ops."""

    _fields_ = [(name, c_void_p) for name in OPERATIONS]


class ConnectionInfo(ctypes.Structure):
    """struct fuse_conn_info, as far as it is read here."""

    _fields_ = [
        (name, c_uint32)
        for name in ("proto_major", "proto_minor", "max_write", "max_read", "max_readahead", "capable")
    ]


class FileSystemStatus(ctypes.Structure):
    """struct statvfs."""

    _fields_ = [
        *((name, ctypes.c_ulong) for name in ("f_bsize", "f_frsize")),
        *((name, c_uint64) for name in ("f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail")),
        *((name, ctypes.c_ulong) for name in ("f_fsid", "f_flag", "f_namemax")),
        ("spare", c_int * 6),
    ]


class LowLevelLibrary:
    """libfuse 3 with the prototypes of its functions, which are attributes; and the layout of its entries."""

    def __init__(self, path: str) -> None:
        """Load the library. Raises OSError if this is not a libfuse 3 whose layouts are known."""
        library = ctypes.CDLL(path)
        try:
            for name, (result, arguments) in FUNCTIONS.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
        except AttributeError as error:
            raise OSError(f"{path} has no low-level interface ({error})") from error
        version = library.fuse_version()
        if not 300 <= version < 400 and version // 10 != 3:
            raise OSError(f"{path} is version {version} of libfuse")
        layouts = (_entry_layout(layout) for layout in STAT_LAYOUTS)
        entry = next((layout for layout in layouts if self._is_layout(layout)), None)
        if entry is None:
            raise OSError(f"{path} has another struct stat than is known here")
        self.Entry = entry

    def _is_layout(self, layout: type[ctypes.Structure]) -> bool:
        """Whether libfuse finds in such an entry what was put there."""
        numbers = {"st_ino": 1, "st_size": 2, "st_blocks": 3, "st_mode": 0o100444, "st_nlink": 4, "st_uid": 5}
        numbers |= {"st_gid": 6, "st_blksize": 4096}
        numbers |= {name: 11 + i for i, (name, _) in enumerate(STAT_TIMES)}
        entry = layout(ino=17, generation=18, attr_timeout=19.0, entry_timeout=20.0, **numbers)
        buffer = ctypes.create_string_buffer(256)
        used = self.fuse_add_direntry_plus(None, buffer, len(buffer), b"name", ctypes.byref(entry), 21)
        expected = (
            17, 18, 20, 19, 0, 0, 1, 2, 3, 11, 13, 15, 12, 14, 16, 0o100444, 4, 5, 6, 0, 4096, 0, 1, 21, 4, 8,
        )  # fmt: skip
        return used == DIRENTPLUS.size + 8 and DIRENTPLUS.unpack_from(buffer) == expected


def _entry_layout(stat_layout: list[tuple[str, type]]) -> type[ctypes.Structure]:
    """struct fuse_entry_param, with the fields of its struct stat as its own."""

    class Entry(ctypes.Structure):
        _fields_ = [
            ("ino", c_uint64), ("generation", c_uint64), *stat_layout,
            ("attr_timeout", c_double), ("entry_timeout", c_double),
        ]  # fmt: skip

    return Entry
