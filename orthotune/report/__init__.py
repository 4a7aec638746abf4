"""What a search has found: rankings, importances, choices, texts.

What may enter: anything that is computed from the record and shown. What may not: Ray,
MLflow, anything that changes a study. Read `search_report.py` first.
"""
