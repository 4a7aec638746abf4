"""What an ablation has found: paired seeds, verdicts, re-tuned arms, reports.

What may enter: what is computed of the trials of arms, and shown. What may not: Ray;
running trials is a study's. Read `findings.py` first, then `interim_analysis.py`.
"""
