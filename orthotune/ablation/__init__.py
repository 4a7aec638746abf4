"""Ablations: which ingredient made the difference, by paired seeds and tests."""
