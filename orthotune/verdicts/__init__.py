"""What the cells of an ablation say: paired seeds, verdicts, re-tuned arms.

What may enter: what is computed of the trials of arms. What may not: how it is shown,
which is the room above. Read `findings.py` first, then `interim_analysis.py`.
"""
