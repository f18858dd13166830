"""What the benchmarks share: photographs to measure with, timing and memory, and the printed table.

Each figure of the README comes from a script of the folder above; `make bench` runs them all. A figure stands
beside a yardstick from the same run, since machines differ more than ratios do.
"""
