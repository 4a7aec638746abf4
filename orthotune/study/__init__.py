"""A study from start to end: its file, opening its record, sessions, plan, progress.

What may enter: what joins the rooms below to one command that can be killed and
continued. What may not: what an ablation asks. Read `run.py` first.
"""
