"""What a cluster offers: its nodes, what is checked on them, and shares of GPUs.

What may enter: starting and joining Ray, checks of nodes, resources of trials. What may
not: Ray Tune. Read `runtime.py` first, then `resources.py`.
"""
