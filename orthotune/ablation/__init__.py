"""An ablation as it is shown: plan, tables, figures, reports, the best arm's network.

What may enter: what tells people what was found. What may not: how it is found, which
is the room below; Ray. Read `report.py` first.
"""
