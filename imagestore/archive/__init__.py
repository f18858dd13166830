"""Archives of images: tar files, compressed or not, zip, Parquet and HDF5 files, and folders.

Begin with open_archive.py, which opens an archive of any format, and protocol.py, which says what an archive
offers. tar_archive.py reads a tar with the help of tar_pass.py, which gets headers from tar_headers.py and
bytes from a decompressor (room decompression). row_archive.py reads files whose rows are images:
parquet_rows.py, pixel_rows.py and store_rows.py say how. An archive belongs to one thread. After a fork,
parent and child may both use it.
"""
