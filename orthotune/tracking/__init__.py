"""The one writer to MLflow, and the one reader of what other studies have left there.

What may enter: runs, metrics, tags, artifacts, the stores they are in. What may not:
decisions about trials; MLflow mirrors the record and never answers for it, but for
results that are taken over from other studies. Read `tracker.py` first.
"""
