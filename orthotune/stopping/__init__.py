"""Which trials are stopped early, beside asha's, and what stopping has cost.

What may enter: rules and findings that are functions of the record. What may not: Ray's
side of a decision, which is in `tune`, and words about it, which are in `report`. Read
`audit.py` first.
"""
