"""Correct a store by hand: relabel, remove and add images.

A correction is kept in the store by the image's member and checksum (see store/corrections.py), so later runs
of `sort`, `partition` and `merge` respect it.
"""
