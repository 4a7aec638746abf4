"""Warm starts: what a new study takes from earlier ones.

What may enter: what reads other studies for one that begins. What may not: what becomes
of it then, which is the searcher's. Read `earlier_studies.py`.
"""
