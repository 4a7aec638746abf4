"""What a field of a file is, what can be registered, and how either is read.

What may enter: rules of values, dataclasses as dotted names, the table of registered
ingredients and its decorators, YAML, hints. What may not: which fields a trial has
(`config`), and torch. Read `rules.py` first, then `registry.py` and `fields.py`.
"""
