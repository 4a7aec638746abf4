"""What is typed: each command parses its words, calls one function, and prints.

A module a command, and `common.py` for what they share. What a command does is in
`orthotune.api` and below; nothing imports a command but `orthotune/__main__.py` and the
modules `python -m` runs. Read `search.py` first.
"""
