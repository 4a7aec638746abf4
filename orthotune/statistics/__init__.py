"""Paired comparisons, factorial contrasts, power and interim looks: numbers in and out.

What may enter: a formula over plain numbers or arrays, with its source. What may not:
trials, arms, files, anything that knows what the numbers measure. Read `paired.py`
first.
"""
