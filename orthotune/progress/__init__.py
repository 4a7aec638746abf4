"""Progress of a study while it runs: a live table or lines, with the time left.

What may enter: what is computed of the journal for whoever watches. What may not:
anything that a result depends on. Read `display.py` first.
"""
