"""What a trial is told: its fields, their rules, and reading them from YAML.

What may enter: a field, a rule, a schedule, a sentence that refuses a value. What may
not: torch, which takes seconds to load while a bad file is to be refused at once; and
anything that acts on a configuration. Read `trial.py` first.
"""
