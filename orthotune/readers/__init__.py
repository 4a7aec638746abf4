"""Readers of data sets: from files, or from other packages, to a `Source`.

What may enter: where images and classes are found, and what is wrong with a file. What
may not: splits, statistics, the loop. Read `array_file.py` first.
"""
