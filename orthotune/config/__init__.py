"""What a trial is told: its fields, and what others add to them.

What may enter: a field, a schedule, a hint of which fields there are, the import of
plug-ins. What may not: torch, which takes seconds to load while a bad file is to be
refused at once; and anything that acts on a configuration. Read `trial.py` first.
"""
