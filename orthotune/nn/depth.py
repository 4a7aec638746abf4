"""The depths a network of three stages can have; no torch, so that files check fast."""

MIN_DEPTH = 8


def check_depth(depth: int) -> None:
    """Refuse a depth that is not 6n + 2, naming the nearest ones that are.

    Raises:
        ValueError: If `depth` is not 8, 14, 20, ...

    Example:
        >>> check_depth(44)
    """
    stages, rest = divmod(depth - 2, 6)
    if rest == 0 and depth >= MIN_DEPTH:
        return
    below, above = 6 * stages + 2, 6 * stages + 8
    nearest = sorted({max(MIN_DEPTH, below), max(MIN_DEPTH, above)})
    raise ValueError(
        f"`depth` must be 6n + 2 (8, 14, 20, ...), but got {depth}. "
        f"Nearest: {' or '.join(map(str, nearest))}."
    )
