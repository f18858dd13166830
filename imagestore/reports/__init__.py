"""Look into stores, archives and image files: what `identify`, `show` and `summary` of colourHeuristic.py do.

command_line.py has their arguments, and source_options.py those that tell how a SOURCE is opened.
identify.py, show.py and summary.py are the commands. find_images.py finds the images that the user names, and
found_image.py reads them. Use all of this from one thread.
"""
