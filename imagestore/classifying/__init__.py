"""Classify random images of stores, archives and folders with a trained network.

Read in the order of the data: choose_images.py brings pictures, predict.py turns them into answers, and
accuracy.py counts the answers and draws a contact sheet. Only predict.py imports torch. It decodes pictures
in threads.
"""
