"""YAML files read safely, strictly and with line numbers.

Only plain values are built (the scalars of YAML 1.2, lists, mappings): no tag can
construct an object. `1e-4` is a number; `on`, `yes` and `no` are strings, so that they
are refused where a boolean is wanted. Duplicate keys, anchors and aliases are errors.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orthotune.errors import FileError, cut, quoted
from orthotune.schema.rules import plain, show

MAX_BYTES = 100_000
"""Read in a second at most, whatever it holds; ours have 1,000 to 4,000."""
MAX_NESTING = 20
IN_MEMORY = "<dict>"
"""What a mapping is called that was never in a file."""

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
        lines: Line (from 1) of the value at each path of keys; empty for what was
            never in a file.
    """

    path: str
    data: dict[str, Any]
    lines: dict[tuple[str, ...], int]

    def where(self, *keys: str) -> str:
        """`file:line` of a key, or of the nearest mapping that should hold it.

        Only the file's name where there are no lines.
        """
        if not self.lines:
            return self.path
        path = keys
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.path}:{self.lines.get(path, 1)}"


def mapping_file(source: str | Mapping[str, Any]) -> YamlFile:
    """A file, or what one would hold; an error then calls it `<dict>`.

    Args:
        source: The path of a file, or its content. Tuples and what numpy has count as
            lists and numbers.

    Raises:
        FileError: As `read_mapping`, or if a key is no string.

    Example:
        >>> mapping_file({"search": {"max_epochs": 3}}).where("search", "max_epochs")
        '<dict>'
    """
    if isinstance(source, str):
        return read_mapping(source)
    data = _plain(source)
    if not data:
        raise FileError(f"{IN_MEMORY}: must hold a mapping of keys, but is empty.")
    return YamlFile(path=IN_MEMORY, data=data, lines={})


def _plain(value: Any, level: int = 1) -> Any:  # noqa: ANN401 - whatever somebody gives
    """A value as if it had been read; what no file can hold is refused later."""
    if level > MAX_NESTING:
        raise FileError(f"{IN_MEMORY}: must nest at most {MAX_NESTING} levels deep.")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise FileError(
                    f"{IN_MEMORY}: must have words as keys, but got {show(key)}."
                )
        return {key: _plain(item, level + 1) for key, item in value.items()}
    value = plain(value)
    if isinstance(value, list):
        return [_plain(item, level + 1) for item in value]
    return value


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
    try:
        return _built(path, yaml.parse(text, Loader=_LOADER))
    except yaml.YAMLError:
        # PyYAML's own parser has the better words for what is wrong.
        return _built(path, yaml.parse(text, Loader=yaml.SafeLoader))


def _built(path: str, events: Iterator[yaml.Event]) -> YamlFile:
    builder = _Builder(path)
    for event in events:
        builder.take(event)
    return builder.file()


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""That of libyaml, where PyYAML was built with it: 20 times as fast."""


@dataclass(kw_only=True)
class _Level:
    """A mapping or a list that is not complete."""

    value: dict[str, Any] | list[Any]
    keys: tuple[str, ...]
    """The path to it."""
    line: int
    key: str | None = None
    """That of a mapping's next value; None where a key is next."""


@dataclass
class _Builder:
    """Builds plain values of events, without recursion.

    Args:
        path: The file as the user named it.
    """

    path: str
    levels: list[_Level] = field(default_factory=list)
    lines: dict[tuple[str, ...], int] = field(default_factory=lambda: {(): 1})
    anchored: FileError | None = None
    num_documents: int = 0
    data: dict[str, Any] | None = None

    def take(self, event: yaml.Event) -> None:
        """Go on by one event.

        Raises:
            FileError: If it is not allowed here.
            yaml.MarkedYAMLError: If it begins a second document.
        """
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.num_documents += 1
            if self.num_documents > 1:
                raise yaml.MarkedYAMLError(
                    problem="found another document", problem_mark=event.start_mark
                )
        if isinstance(event, yaml.AliasEvent):
            raise self._error(
                line,
                f"must not use aliases, but got *{cut(event.anchor)}. "
                "Write the value out.",
            )
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            self._check(event, line)
        if isinstance(event, yaml.ScalarEvent):
            is_quoted = event.style in ("'", '"', "|", ">")
            self._add(event.value if is_quoted else _scalar(event.value), line)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open({} if isinstance(event, yaml.MappingStartEvent) else [], line)
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self.levels.pop()
            self._add(done.value, done.line)

    def file(self) -> YamlFile:
        """What was built."""
        if self.anchored is not None:  # last: an alias says more
            raise self.anchored
        if self.data is None:
            raise self._error(1, "must hold a mapping of keys, but is empty.")
        return YamlFile(path=self.path, data=self.data, lines=self.lines)

    def _check(self, event: yaml.NodeEvent, line: int) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise self._error(line, f"must not use tags, but got {cut(tag)}.")
        if event.anchor is not None and self.anchored is None:
            name = cut(event.anchor)
            self.anchored = self._error(line, f"must not use anchors, but got &{name}.")

    def _open(self, value: dict[str, Any] | list[Any], line: int) -> None:
        if len(self.levels) == MAX_NESTING:
            raise self._error(line, f"must nest at most {MAX_NESTING} levels deep.")
        keys: tuple[str, ...] = ()
        if self.levels:
            above = self.levels[-1]
            keys = above.keys if above.key is None else (*above.keys, above.key)
        self.levels.append(_Level(value=value, keys=keys, line=line))

    def _add(self, value: Any, line: int) -> None:  # noqa: ANN401 - what the file says
        """A complete value, in the place that is next."""
        if not self.levels:
            self._end(value, line)
            return
        level = self.levels[-1]
        if isinstance(level.value, list):
            level.value.append(value)
        elif level.key is None:
            level.key = self._key(level, value, line)
        else:
            level.value[level.key] = value
            level.key = None

    def _key(self, level: _Level, value: object, line: int) -> str:
        if not isinstance(value, str):
            raise self._error(line, f"must have words as keys, but got {show(value)}.")
        keys = (*level.keys, value)
        if value in level.value:
            raise self._error(
                line,
                f"must not repeat a key, but {quoted(value)} stands on line "
                f"{self.lines[keys]} too. Delete one.",
            )
        self.lines[keys] = line
        return value

    def _end(self, value: object, line: int) -> None:
        if value is None:
            return
        if not isinstance(value, dict):
            noun = "list" if isinstance(value, list) else "single value"
            raise self._error(
                line, f"must hold a mapping of keys (`key: value`), but got a {noun}."
            )
        self.data = value

    def _error(self, line: int, problem: str) -> FileError:
        return FileError(f"{self.path}:{line}: {problem}")


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
