"""From archives to stores: the commands sort, partition and merge.

command_line.py has their arguments. Begin with sort_and_partition.py: each command is one function.
labelling_run.py opens what a run needs. choose_members.py decides which images are taken and where they go,
new_images.py passes over what the stores have. workers.py labels in other processes. run_report.py decides
how a run ended and tells the user. merge.py joins stores.
"""
