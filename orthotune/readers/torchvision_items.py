"""Any of torchvision's data sets for classification, by the name of its class.

Letters: `N` images of a part.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orthotune.config.hints import nearest
from orthotune.data.dataset import LazySource
from orthotune.errors import DataMissingError, DataUnreadableError
from orthotune.readers.item_images import Items, first_line, item_source
from orthotune.readers.settings import TorchvisionConfig
from orthotune.readers.torchvision_files import Kind
from orthotune.readers.torchvision_reader import only_fetcher, torchvision_datasets

SPLITS = (("train", "trainval"), ("val", "valid"), ("test",))
"""What torchvision calls the parts to train, to validate and to test with."""


def torchvision_items(
    settings: TorchvisionConfig, root: Path, download: bool
) -> LazySource:
    """The images of the class that is named, with its parts where it has any.

    Raises:
        DataUnreadableError: If there is no such class, or it is of another kind.
        DataMissingError: If its files are missing, and are not or cannot be fetched.
    """
    name = settings.dataset
    kind = _kind(name)
    try:
        parts = _parts(kind, root, download=False)
    except DataMissingError:
        if not download:
            raise
        with only_fetcher(name, root):
            parts = _parts(kind, root, download=True)
    try:
        targets = {code: _targets(part) for code, part in parts.items()}
    except Exception as err:  # torchvision's and Pillow's, without a common base
        raise DataUnreadableError(
            f"`data.torchvision.dataset` must be a data set of images with a class "
            f"each, but the items of {name} cannot be read so ({first_line(err)}). "
            "Choose another one."
        ) from err
    return item_source(name, parts, targets, 0, settings)


def _kind(name: str) -> Kind:
    module = torchvision_datasets()
    known = [one for one in getattr(module, "__all__", ()) if one != "FakeData"]
    if name not in known:
        raise DataUnreadableError(
            "`data.torchvision.dataset` must be a class of torchvision.datasets, but "
            f"got '{name[:60]}'. {nearest(name, known)}"
        )
    return getattr(module, name)


def _parts(kind: Kind, root: Path, *, download: bool) -> dict[int, Items]:
    """The parts that the class knows, by number."""
    takes = inspect.signature(kind).parameters
    more = {"download": download} if "download" in takes else {}
    if "train" in takes:
        ways = [{"train": True}], [], [{"train": False}]
    elif "split" in takes:
        ways = [[{"split": word} for word in words] for words in SPLITS]
    else:
        ways = [{}], [], []
    found = {}
    for code, options in enumerate(ways):
        part = _first(kind, root, [{**option, **more} for option in options])
        if part is not None:
            found[code] = part
    if 0 not in found:
        raise DataUnreadableError(
            "`data.torchvision.dataset` must have a part to train with, but "
            f"{kind.__name__} has none that is called so. Choose another one."
        )
    return found


def _first(kind: Kind, root: Path, options: Sequence[dict[str, Any]]) -> Items | None:
    """The first part that the class knows by one of its names."""
    for option in options:
        try:
            return kind(root=str(root), **option)
        except ValueError as err:
            if "split" in option and "split" in str(err):  # it has no such part
                continue
            raise _missing(kind, root, err, option) from err
        except MemoryError:
            raise
        except Exception as err:  # torchvision's, without a common base
            raise _missing(kind, root, err, option) from err
    return None


def _missing(
    kind: Kind, root: Path, err: Exception, option: dict[str, Any]
) -> DataMissingError:
    remedy = "Set `data.download` to true where there is a network"
    if option.get("download") or "download" not in option:
        remedy = "Fetch its files by hand"
    return DataMissingError(
        f"`data.root` must hold {kind.__name__}, but of {root} torchvision says: "
        f"{first_line(err)}. {remedy}, or give another `data.root`."
    )


def _targets(part: Items) -> Sequence[int]:
    """The class of every image; by decoding them if torchvision lists them nowhere."""
    listed = [getattr(part, name, None) for name in ("targets", "labels", "_labels")]
    samples = getattr(part, "_samples", None)
    if samples is not None:
        listed.append([sample[1] for sample in samples])
    ends = [part[0][1], part[len(part) - 1][1]]
    for values in listed:
        found = np.asarray(values)
        fits = found.shape == (len(part),) and found.dtype.kind in "iu"
        if fits and [found[0], found[-1]] == ends:
            return found.tolist()
    return [part[index][1] for index in range(len(part))]
