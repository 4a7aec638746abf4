"""What a search may vary, and how much of it is tried: values without machinery.

What may enter: kinds of parameters, conditions between them, the settings of a search,
what successive halving makes of them. What may not: Ray, Optuna, torch; anything that
runs. Read `parameters.py` first, then `settings.py`.
"""
