"""Train a network on image stores.

Begin with training_loop.py: it prepares, trains, validates and writes a checkpoint. dataset.py and
decoded_cache.py bring the images; network.py predicts their labels. training_settings.py, labels_file.py and
free_memory.py do not load torch. validation_split.py and log_lines.py load it through modules that they
import; all other modules import it at their top. Datasets may be pickled, used after a fork, and read by
several threads. Use everything else from one thread.
"""
