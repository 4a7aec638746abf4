"""How what is found is drawn: figures as SVG, pages, and figures that answer a reader.

What may enter: anything that draws records and numbers it is given. What may not: what
finds them (that is `report` and `ablation`), and anything that asks another host. Read
`drawing.py` first.
"""
