"""What is known of a study: the event log and all that is rebuilt from it.

What may enter: what a study asks, what its trials reported, which code computed it,
and keeping that whole, at home and in a remote storage. What may not: Ray, Optuna,
MLflow; a study must be readable without them. Read `journal.py` first, and `RECORD.md`
for the file's format.
"""
