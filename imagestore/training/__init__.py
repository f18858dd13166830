"""Train a network on image stores.

command_line.py has the arguments of train_model.py, training_settings.py what they mean; neither loads torch.
Begin with training_loop.py: it prepares, trains, validates and writes a checkpoint. The images come from
loading/, the networks from networks/. Use everything from one thread.
"""
