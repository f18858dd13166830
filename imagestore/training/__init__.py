"""Train a network on image stores.

Begin with training_loop.py: it prepares, trains, validates and writes a checkpoint. The images come from
loading/, the networks from networks/. training_settings.py does not load torch. Use everything from one
thread.
"""
