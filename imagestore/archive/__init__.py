"""Archives of images: tar files, compressed or not, zip files, and folders.

Begin with protocol.py, which says what an archive offers. tar_archive.py reads a tar with the help of
tar_pass.py, which gets headers from tar_headers.py and bytes from a decompressor (room decompression). An
archive belongs to one thread. After a fork, parent and child may both use it.
"""
