"""From an image's bytes to its pixels, within bounds. All images from outside are decoded here.

Begin with `decode_rgb` in decode_image.py. formats holds the table of formats, to_rgb the way from any mode
to RGB, memory_bound what decoding may take, jpeg_structure what the segments of a JPEG say, errors the one
exception that a caller sees.
"""
