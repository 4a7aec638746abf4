"""Data sets: held in memory or read while they are used, split and augmented.

What may enter: what training needs of a data set. What may not: a format of files (see
`readers`), the network, the loop. Read `datasets.py` first.
"""
