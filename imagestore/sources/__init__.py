"""Any source of images: archives of every kind, folders, and several of them as one.

Begin with open_archives.py. open_archive.py knows the kinds by their content.
"""
