"""Compressed files: their bytes, from front to back or from any place.

decompressor.py says what a decompressor offers, and compression_formats.py is the table of them. damage.py
has the ways in which data may be broken. read_ahead.py lets a decompressor work in a thread or in
another process.
"""
