"""Archives of images: opening one, listing and streaming its members, fetching single members.

Begin with open.py, which opens an archive of any format, and protocol.py, which says what an archive offers.
tar_archive.py reads a tar with the help of tar_pass.py and of a decoder. decompression.py has the table of
decoders. An archive belongs to one thread. After a fork, parent and child may both use it.
"""
