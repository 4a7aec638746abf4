"""Where a study keeps its files: folders and URIs, who holds them, who may write.

What may enter: reading and writing whole files, locks, leases, permissions, keeping
secrets out of what is shown. What may not: what the files mean. Read `folder.py` first.
"""
