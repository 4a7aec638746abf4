"""The base of the readers of study and ablation files: errors with file and line."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from orthotune.errors import ConfigError, OrthotuneError, quoted
from orthotune.schema.hints import nearest
from orthotune.schema.rules import Rule, show
from orthotune.schema.yaml_file import YamlFile


class FileReader:
    """Checks one file; every error is one sentence with file and line.

    Args:
        file: The file.
        overrides: Values by key from the command line, which take its place.
    """

    error: ClassVar[type[OrthotuneError]]
    """What is raised."""
    fields_of: ClassVar[tuple[str, ...]] = ()
    """Sections whose keys are fields of a trial: errors name the field alone."""

    def __init__(self, file: YamlFile, overrides: Mapping[str, Any]) -> None:
        self._file = file
        self._overrides = overrides

    def _given(self, key: str, default: object) -> Any:  # noqa: ANN401 - as the file has it
        """A value of the top level, or what overrides it."""
        return self._overrides.get(key, self._file.data.get(key, default))

    def _value(self, key: str, rule: Rule, default: object) -> Any:  # noqa: ANN401
        value = self._given(key, default)
        self._check_rule(rule, key, (key,), value)
        return rule.normalize(value)

    def _section(self, key: str) -> dict[str, Any]:
        section = self._file.data.get(key)
        return {} if section is None else self._mapping((key,), section)

    def _mapping(self, keys: tuple[str, ...], value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(
                keys, f"must be a mapping of keys, but got {show(value)}."
            )
        return dict(value)

    def _check_keys(
        self,
        keys: tuple[str, ...],
        mapping: Mapping[str, Any],
        known: Collection[str],
    ) -> None:
        for key in mapping:
            if key not in known:
                hint = nearest(key, list(known))
                raise self._error((*keys, key), f"is not a key here. {hint}")

    def _check_rule(
        self, rule: Rule, name: str, keys: tuple[str, ...], value: object
    ) -> None:
        try:
            rule.check(name, value)
        except ConfigError as err:
            raise self._error(keys, err.problem) from err

    def _error(self, keys: tuple[str, ...], problem: str) -> OrthotuneError:
        shown = ".".join(keys[1:] if keys[0] in self.fields_of else keys)
        return self.error(f"{self._where(keys)}: {quoted(shown or keys[0])} {problem}")

    def _where(self, keys: tuple[str, ...]) -> str:
        start = 1 if keys[0] in self.fields_of else 0
        overridden = ".".join(keys[start:]) in self._overrides
        return "--set" if overridden else self._file.where(*keys)
