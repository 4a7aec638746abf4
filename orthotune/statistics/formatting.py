"""Numbers as an ablation's report has them."""

from orthotune.statistics.paired import Interval


def signed(value: float) -> str:
    """A difference.

    Example:
        >>> signed(0.05)
        '+0.0500'
    """
    return f"{value:+.4f}"


def interval_text(interval: Interval | None, *, signed: bool = True) -> str:
    """An interval, of a difference or else of a metric itself.

    Example:
        >>> interval_text(Interval(low=-0.1, high=0.2)), interval_text(None)
        ('[-0.1000, +0.2000]', '-')
    """
    if interval is None:
        return "-"
    sign = "+" if signed else ""
    return f"[{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def p_text(value: float | None) -> str:
    """A p-value.

    Example:
        >>> p_text(0.03), p_text(1e-9), p_text(None)
        ('0.0300', '< 0.0001', '-')
    """
    if value is None:
        return "-"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def p_phrase(value: float | None) -> str:
    """A p-value in a sentence.

    Example:
        >>> p_phrase(0.03), p_phrase(1e-9)
        ('= 0.0300', '< 0.0001')
    """
    text = p_text(value)
    return text if text.startswith("<") else f"= {text}"
