"""Constraints between numbers of a trial, in a grammar that computes and does no more.

A constraint is a comparison of sums, differences, products and quotients of numbers and
of dotted names of fields: `model.depth * data.batch_size <= 8000`. Python parses the
text; nothing but these nodes is accepted, and nothing is ever evaluated as code.
"""

import ast
import functools
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orthotune.config.rules import show

MAX_LETTERS = 300
_SUMS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.LtE: operator.le,
    ast.Lt: operator.lt,
    ast.GtE: operator.ge,
    ast.Gt: operator.gt,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FARTHEST = 1e30
"""The largest distance from a bound that is told."""


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A comparison that every trial meets.

    Args:
        text: It, as a file says it.
        defaults: The value of each field it names where a trial has none.

    Raises:
        ValueError: If the text is no such comparison; with the rest of a sentence.

    Example:
        >>> few = Constraint(text="depth * batch <= 800", defaults={"batch": 10})
        >>> few.holds({"depth": 8}), few.holds({"depth": 8, "batch": 101})
        (True, False)
        >>> few.excesses({"depth": 8})
        [-720]
    """

    text: str
    defaults: Mapping[str, Any]

    @functools.cached_property
    def _comparison(self) -> ast.Compare:
        return _parsed(self.text)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The fields it names."""
        return tuple(dict.fromkeys(_named(self._comparison)))

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the fields of a trial meet it; not where it divides by 0.

        Args:
            values: The fields it has, by dotted name.
        """
        try:
            return all(
                math.isfinite(a) and math.isfinite(b) and compare(a, b)
                for compare, a, b in self._sides(values)
            )
        except ArithmeticError:  # it divides by 0, or is too large for a float
            return False

    def excesses(self, values: Mapping[str, Any]) -> list[float]:
        """How far the fields of a trial exceed each bound: below 0 they have room.

        Of equalities none: they have no side.

        Args:
            values: The fields of a trial that meets it.
        """
        found = []
        for compare, a, b in self._sides(values):
            if compare in (operator.le, operator.lt):
                found.append(a - b)
            elif compare in (operator.ge, operator.gt):
                found.append(b - a)
        return [max(-_FARTHEST, min(_FARTHEST, excess)) for excess in found]

    def _sides(
        self, values: Mapping[str, Any]
    ) -> Iterator[tuple[Callable[[Any, Any], bool], Any, Any]]:
        known = {**self.defaults, **values}
        sides = [self._comparison.left, *self._comparison.comparators]
        found = [_value(side, known) for side in sides]
        for compare, a, b in zip(
            self._comparison.ops, found[:-1], found[1:], strict=True
        ):
            yield _COMPARISONS[type(compare)], a, b


def fields_named(text: str) -> tuple[str, ...]:
    """The fields that a constraint names.

    Raises:
        ValueError: If the text is none; with the rest of a sentence.

    Example:
        >>> fields_named("8 <= model.depth < 2 * data.batch_size")
        ('model.depth', 'data.batch_size')
    """
    return Constraint(text=text, defaults={}).names


def _parsed(text: str) -> ast.Compare:
    if len(text) > MAX_LETTERS:
        raise ValueError(
            f"must be at most {MAX_LETTERS} letters long, but has {len(text)}."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as err:
        raise ValueError(f"{_LIKE}, but got {show(text)}.") from err
    if not isinstance(tree, ast.Compare):
        raise ValueError(f"{_LIKE}, but got {show(text)}.")
    for compare in tree.ops:
        if type(compare) not in _COMPARISONS:
            raise ValueError(
                f"must compare by <=, <, >=, >, == or !=, but got {show(text)}."
            )
    for side in (tree.left, *tree.comparators):
        _check(side, text)
    return tree


_LIKE = "must be a comparison such as model.depth * data.batch_size <= 8000"


def _check(node: ast.expr, text: str) -> None:
    """Refuse what is neither a number, a name, nor a sum of such."""
    match node:
        case ast.Constant(value=int() | float() as number):
            fine = not isinstance(number, bool) and abs(number) <= 1e308
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            fine = True
            _check(operand, text)
        case ast.BinOp(op=op, left=left, right=right):
            fine = type(op) in _SUMS
            _check(left, text)
            _check(right, text)
        case _:
            fine = _is_field(node)
    if not fine:
        raise ValueError(
            "must hold only numbers, names of fields, +, -, *, / and brackets, but "
            f"got {show(text)}."
        )


def _is_field(node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _named(node: ast.AST) -> Iterator[str]:
    """The fields in a node; of `model.depth` not its part `model`."""
    if _is_field(node):
        yield _name(node)
        return
    for child in ast.iter_child_nodes(node):
        yield from _named(child)


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a number
    match node:
        case ast.Constant(value=number):
            return number
        case ast.UnaryOp(op=op, operand=operand):
            value = _value(operand, known)
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(op=op, left=left, right=right):
            return _SUMS[type(op)](_value(left, known), _value(right, known))
    return known[_name(node)]
