"""YAML files read safely, strictly and with line numbers.

Only plain values are built (the scalars of YAML 1.2, lists, mappings): no tag can
construct an object. `1e-4` is a number; `on`, `yes` and `no` are strings, so that they
are refused where a boolean is wanted. Duplicate keys, anchors and aliases are errors.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orthotune.errors import FileError

MAX_BYTES = 1_000_000
MAX_NESTING = 20

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


@dataclass(frozen=True, kw_only=True)
class YamlFile:
    """A mapping read from a file, and the line of every key in it.

    Args:
        path: The file as the user named it.
        data: The mapping; empty for a file without one.
        lines: Line (from 1) of the value at each path of keys.
    """

    path: str
    data: dict[str, Any]
    lines: dict[tuple[str, ...], int]

    def where(self, *keys: str) -> str:
        """`file:line` of a key, or of the nearest mapping that should hold it."""
        path = keys
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.path}:{self.lines.get(path, 1)}"


def read_mapping(path: str) -> YamlFile:
    """Read a file whose top level is a mapping.

    Raises:
        FileError: If the file is missing, not UTF-8, not YAML, not a mapping, or uses
            what is not allowed here; with file and line.
    """
    text = _read_text(path)
    try:
        return _parse(path, text)
    except yaml.reader.ReaderError as err:
        line = text[: int(err.position)].count("\n") + 1
        raise FileError(
            f"{path}:{line}: must be text, but holds the control character "
            f"{_character(err.character)}. Is it a YAML file?"
        ) from err
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line = mark.line + 1 if mark else 1
        problem = " ".join((err.problem or "it cannot be parsed").split())
        problem = problem.removeprefix("but ")
        raise FileError(f"{path}:{line}: must be valid YAML, but {problem}.") from err
    except FileError:
        raise
    except (ValueError, OverflowError) as err:  # PyYAML on absurd escapes and versions
        raise FileError(f"{path}:1: must be valid YAML, but: {err}.") from err


def parse_value(text: str) -> Any:  # noqa: ANN401 - whatever the text says
    """One value as it would be read in a file, for `--set KEY=VALUE`.

    Raises:
        FileError: If the text is not one YAML value.

    Example:
        >>> parse_value("1e-4"), parse_value("[16, 32, 64]"), parse_value("on")
        (0.0001, [16, 32, 64], 'on')
    """
    try:
        text.encode()
    except UnicodeEncodeError as err:  # of bytes that the locale does not know
        raise FileError(
            f"--set: must be text in the encoding of the locale, but got {text!r}. Set "
            "LC_ALL to C.UTF-8, or PYTHONUTF8 to 1."
        ) from err
    try:
        data = _parse("--set", f"value: {text}").data
    except FileError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as err:
        raise FileError(f"--set: must hold one YAML value, but got {text!r}.") from err
    if list(data) != ["value"] or (" #" in text and text[0] not in "'\""):
        raise FileError(f"--set: must hold one YAML value, but got {text!r}.")
    return data["value"]


def _read_text(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as err:
        reason = err.strerror or "it cannot be read"
        raise FileError(f"{path}: must be a readable file, but: {reason}.") from err
    if len(raw) > MAX_BYTES:
        raise FileError(
            f"{path}:1: must be at most {MAX_BYTES} bytes long, but is longer. "
            "Is it a YAML file?"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = raw[: err.start].count(b"\n") + 1
        raise FileError(
            f"{path}:{line}: must be UTF-8, but got the byte 0x{raw[err.start]:02x}. "
            "Save the file as UTF-8."
        ) from err


def _parse(path: str, text: str) -> YamlFile:
    _check_events(path, text)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        raise FileError(f"{path}:1: must hold a mapping of keys, but is empty.")
    if not isinstance(node, yaml.MappingNode):
        raise FileError(
            f"{path}:{_line(node)}: must hold a mapping of keys (`key: value`), "
            f"but got a {_noun(node)}."
        )
    lines: dict[tuple[str, ...], int] = {(): 1}
    return YamlFile(path=path, data=_mapping(path, node, (), lines), lines=lines)


def _check_events(path: str, text: str) -> None:
    """Refuse tags, anchors and deep nesting before anything recursive sees the text."""
    depth, anchored = 0, None
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = f"{path}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise FileError(
                f"{where}: must not use aliases, but got *{event.anchor}. "
                "Write the value out."
            )
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            depth += isinstance(event, yaml.CollectionStartEvent)
            if event.tag not in (None, "!"):
                raise FileError(f"{where}: must not use tags, but got {event.tag}.")
            if event.anchor is not None and anchored is None:
                anchored = f"{where}: must not use anchors, but got &{event.anchor}."
        if depth > MAX_NESTING:
            raise FileError(f"{where}: must nest at most {MAX_NESTING} levels deep.")
    if anchored is not None:  # last: an alias says more
        raise FileError(anchored)


def _mapping(
    path: str,
    node: yaml.MappingNode,
    keys: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _value(path, key_node, keys, lines)
        if not isinstance(key, str):
            raise FileError(
                f"{path}:{_line(key_node)}: must have words as keys, but got {key!r}."
            )
        if key in result:
            raise FileError(
                f"{path}:{_line(key_node)}: must not repeat a key, but `{key}` stands "
                f"on line {lines[(*keys, key)]} too. Delete one."
            )
        lines[(*keys, key)] = _line(key_node)
        result[key] = _value(path, value_node, (*keys, key), lines)
    return result


def _value(
    path: str,
    node: yaml.Node,
    keys: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
) -> Any:  # noqa: ANN401 - whatever the file says
    if isinstance(node, yaml.MappingNode):
        return _mapping(path, node, keys, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, item, keys, lines) for item in node.value]
    quoted = getattr(node, "style", None) in ("'", '"', "|", ">")
    return node.value if quoted else _scalar(node.value)


def _scalar(text: str) -> Any:  # noqa: ANN401 - a number, a boolean, null or a string
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):  # Python refuses to read much longer ones
        return int(text) if len(text) <= 400 else text
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _character(found: object) -> str:
    return f"0x{found:02x}" if isinstance(found, int) else repr(found)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _noun(node: yaml.Node) -> str:
    return "list" if isinstance(node, yaml.SequenceNode) else "single value"
