"""Studies that have begun: found by name, read, deleted, asked again.

What may enter: what looks at a study from outside. What may not: running one. Read
`loaded.py` first.
"""
