"""Texts for people: tables as Markdown or plain text, counts and durations."""

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]
"""The header, and then the rows."""


def aligned(rows: Rows) -> str:
    """Lines of text, each column as wide as it must be.

    Example:
        >>> print(aligned([["rank", "lr"], ["1", "0.01"]]))
        rank    lr
           1  0.01
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def markdown_table(rows: Rows) -> str:
    """A Markdown table, aligned so that it reads as text too.

    Example:
        >>> print(markdown_table([["rank", "lr"], ["1", "0.01"]]))
        | rank | lr   |
        |------|------|
        | 1    | 0.01 |
    """
    lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([shown[0], rule, *shown[1:]])


def cell(value: object) -> str:
    """A value as a table shows it; a dash for none."""
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def counted(number: int, noun: str) -> str:
    """So many of something.

    Example:
        >>> counted(1, "trial"), counted(2000, "trial")
        ('1 trial', '2,000 trials')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A duration for people.

    Example:
        >>> duration(42.3), duration(200), duration(7500)
        ('42 s', '3 min 20 s', '2 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
