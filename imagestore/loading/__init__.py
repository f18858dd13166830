"""From stores to batches of pixels: a torch Dataset, random crops, caches, and batches made ahead of time.

`dataset.py` is what a training loop of one's own uses; `batches.py` says what train_model.py is fed with.
"""
