"""What an ablation asks: arms, factors, seeds, claims, and reading them from YAML.

What may enter: a design, a rule of the file, what every arm is tuned by. What may not:
results; a design is complete before the first trial runs. Read `ablation.py` first.
"""
