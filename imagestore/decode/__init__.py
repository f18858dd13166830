"""From an image's bytes to its pixels, within bounds. All images from outside are decoded here.

Begin with `decode_rgb` in decode_image.py. pixels_and_metadata keeps metadata away from decoders, with a file
for each structure (jpeg_structure, png_chunks, webp_chunks, tiff_directory, heif_boxes, icon); orientation is
read of it apart. formats opens an image, memory_needed and memory_bound say what that may take, to_rgb leads
from any mode to RGB, and errors has the one exception that a caller sees.
"""
