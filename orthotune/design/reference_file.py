"""A reference that an ablation file takes from another file, such as a `best.yaml`."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orthotune.config.config_file import configured
from orthotune.errors import AblationError, FileError
from orthotune.schema.yaml_file import IN_MEMORY, YamlFile

NOT_OF_ARMS = ("seed", "training.evaluate_test")
"""Fields of such a file that every cell sets itself."""


def with_references(file: YamlFile, names: Sequence[str]) -> YamlFile:
    """An ablation file with the fields of the configuration that a reference names.

    Args:
        file: The file.
        names: The sections of the reference: a mapping, or the path of a file, from the
            folder of this one.

    Raises:
        AblationError: If there is no such file, or it holds no configuration.
    """
    data = dict(file.data)
    for name in names:
        if isinstance(data.get(name), str):
            data[name] = _fields(file, name, data[name])
    return replace(file, data=data)


def _fields(file: YamlFile, name: str, path: str) -> dict[str, object]:
    folder = Path() if file.path == IN_MEMORY else Path(file.path).parent
    try:
        config = configured(str(folder / os.path.expanduser(path)), {})
    except FileError as err:
        raise AblationError(
            f"{file.where(name)}: `{name}` must hold fields, or be the path of a "
            f"configuration such as a best.yaml, but: {err}"
        ) from err
    fields = config.to_dict()
    return {key: fields[key] for key in fields if key not in NOT_OF_ARMS}
