"""From archives to stores: the commands sort, partition and merge.

command_line.py has their arguments. Begin with sort_and_partition.py: each command is one function.
choose_members.py decides which images are taken and where they go. workers.py labels them in other
processes. run_report.py decides how a run ended and tells the user. merge.py joins stores.
"""
