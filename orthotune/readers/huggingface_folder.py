"""A data set that the package `datasets` has saved to a folder (`save_to_disk`).

Letters: `N` images of a part.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orthotune.data.dataset import LazySource
from orthotune.errors import DataMissingError, DataUnreadableError
from orthotune.readers.item_images import Items, first_line, item_source
from orthotune.readers.settings import HuggingfaceConfig

SPLITS = {"train": 0, "validation": 1, "val": 1, "valid": 1, "test": 2}


def huggingface_folder(settings: HuggingfaceConfig, root: Path) -> LazySource:
    """The images of a saved data set, with its parts where it has any.

    Raises:
        DataUnreadableError: If it is no such folder, or `datasets` is not installed.
        DataMissingError: If it is not there.
    """
    parts = _parts(_loaded(root), root)
    for part in parts.values():
        columns = part.column_names
        for name in (settings.image, settings.label):
            if name not in columns:
                raise _refusal(root, f"has no column {name} in {', '.join(columns)}")
    try:
        targets = {code: part[settings.label][:] for code, part in parts.items()}
    except Exception as err:  # pyarrow's, of many kinds
        raise _refusal(root, f"cannot be read ({first_line(err)})") from err
    return item_source(f"{root}", parts, targets, settings.image, settings)


def _loaded(root: Path) -> Any:  # noqa: ANN401 - a type of an optional package
    try:
        import datasets
    except ImportError as err:
        raise DataUnreadableError(
            "The package datasets must be installed to read a Hugging Face folder, but "
            f"importing it failed ({first_line(err)}). Install it: pip install "
            '"orthotune[huggingface]".'
        ) from err
    if not root.exists():
        raise DataMissingError(
            f"`data.root` must hold a folder that `save_to_disk` has written, but "
            f"{root} is not there. Save it there, or give another `data.root`."
        )
    try:
        return datasets.load_from_disk(str(root))
    except MemoryError:
        raise
    except Exception as err:  # pyarrow's and its own, of many kinds
        raise _refusal(root, f"is none ({first_line(err)})") from err


def _parts(loaded: Any, root: Path) -> dict[int, Items]:  # noqa: ANN401
    if not isinstance(loaded, Mapping):
        return {0: loaded}
    found = {SPLITS[name]: part for name, part in loaded.items() if name in SPLITS}
    if 0 not in found:
        raise _refusal(root, f"has no part `train`, only {', '.join(loaded)[:80]}")
    return dict(sorted(found.items()))


def _refusal(root: Path, problem: str) -> DataUnreadableError:
    return DataUnreadableError(
        f"`data.root` must hold a folder that `save_to_disk` has written, but {root} "
        f"{problem}. Save the data set anew, or name its columns in the settings."
    )
