"""Data sets: found, checked, read into memory, split and augmented.

What may enter: a data set and how its files are read. What may not: the network, the
loop. Read `datasets.py` first.
"""
