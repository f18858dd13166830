"""Filters that compress datasets: HDF5 has few, and the package hdf5plugin has blosc, zstd and others."""

from __future__ import annotations

from h5py import h5p, h5z

from imagestore.printed_commands import pip_install

FILTERS_OF_HDF5 = {1: "gzip", 2: "shuffle", 3: "Fletcher-32", 4: "szip", 5: "n-bit", 6: "scale-offset"}
FILTERS_OF_HDF5PLUGIN = {
    307: "bzip2", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "zfp", 32015: "Zstandard",
    32017: "SZ", 32018: "FCIDECOMP", 32024: "SZ3", 32026: "Blosc2", 32028: "SPERR", 32033: "HTJ2K",
}  # fmt: skip
# From the HDF Group's list, hdf5_plugins/docs/RegisteredFilterPlugins.md; no Python package has these.
OTHER_FILTERS = {
    257: "hzip", 305: "LZO", 32002: "MAFISC", 32003: "Snappy", 32005: "APAX", 32006: "CBF", 32007: "JPEG-XR",
    32009: "SPDP", 32010: "LPC-Rice", 32011: "CCSDS-123", 32012: "JPEG-LS", 32014: "fpzip", 32016: "B3D",
    32019: "JPEG", 32020: "VBZ", 32021: "FAPEC", 32022: "BitGroom", 32023: "Granular BitRound",
    32025: "Delta-Rice", 32027: "FLAC", 32029: "TERSE/PROLIX", 32030: "FFMPEG",
}  # fmt: skip
PROVIDED = {*FILTERS_OF_HDF5, *FILTERS_OF_HDF5PLUGIN}
NAMES = {**FILTERS_OF_HDF5, **FILTERS_OF_HDF5PLUGIN, **OTHER_FILTERS}


class MissingFilter(OSError):
    """A dataset is compressed with a filter that HDF5 does not find. The dataset is not damaged."""


class UnknownFilter(MissingFilter):
    """A filter that no package for Python has."""


def check_filters(properties: h5p.PropDCID) -> None:
    """Load the filters of a dataset with these creation properties. Raises MissingFilter or UnknownFilter."""
    for i in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(i)
        if not h5z.filter_avail(code):
            has_plugins = load_plugins()
            if not h5z.filter_avail(code):
                kind = MissingFilter if code in PROVIDED else UnknownFilter
                raise kind(_why_missing(code, name.decode(errors="replace"), has_plugins))


def check_known_filters(properties: h5p.PropDCID) -> None:
    """Raise UnknownFilter if nothing that can be installed reads a dataset with these creation properties."""
    try:
        check_filters(properties)
    except UnknownFilter:
        raise
    except MissingFilter:
        return


def load_plugins() -> bool:
    """Register the filters of hdf5plugin with HDF5; whether that package is installed."""
    try:
        import hdf5plugin  # noqa: F401  (its import registers them)
    except ImportError:
        return False
    return True


def _why_missing(code: int, stored_name: str, has_plugins: bool) -> str:
    name = f"{NAMES.get(code) or stored_name or 'without a name'}, number {code}"
    if code in FILTERS_OF_HDF5:
        return f"compressed with a filter that this build of HDF5 lacks ({name}): install another h5py"
    if code in FILTERS_OF_HDF5PLUGIN:
        command = pip_install(*["--upgrade"] * has_plugins, "hdf5plugin")
        return f"compressed with a filter that is not installed ({name}): {command}"
    return (
        f"compressed with a filter that neither HDF5 nor hdf5plugin has ({name}): "
        "if you have it as a library, put its folder into HDF5_PLUGIN_PATH"
    )
