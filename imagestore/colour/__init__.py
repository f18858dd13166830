"""From an image to its dominant colours, and to the colour name that is its label.

Begin with `find_palette` in palette.py and `label_of` in label.py. An image passes through the files in
this order: sample_pixels, histogram, palette with term_coverage, label; cielab and colour_names serve them.
Equal bytes give equal results in every process and on every machine with the same image decoders. All
functions are safe in processes and, with the restriction in decode/decode_image.py, in threads.
"""
