"""Writing files: whole or not at all, with room on the disk, and in columns with checksums.

Begin with atomic_write.py. Results go through it, so that nobody ever sees half of a file.
"""
