"""An ablation on several data sets: where a claim holds, and over all of them.

What may enter: what sets blocks side by side. What may not: how a claim is judged on
one of them, which is the ablation's. Read `findings.py` first.
"""
