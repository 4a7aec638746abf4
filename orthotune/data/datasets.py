"""The data sets by name: found, read once a process, and their fingerprints."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from orthotune.config.contracts import DataPlace
from orthotune.config.registry import ingredient, version
from orthotune.config.rules import show
from orthotune.config.sections import DataConfig
from orthotune.data.dataset import Dataset, LazySource, Source, split_source
from orthotune.data.memory import free_bytes
from orthotune.data.splits import AnySplit
from orthotune.errors import DataError, DataMissingError, DataUnreadableError, cut

HASHED = 1000
"""Images that are hashed at a time."""


def load_dataset(config: DataConfig, device: torch.device | str = "cpu") -> Dataset:
    """The data set a config names, on a device; loaded once a process.

    The training split is cut to `data.num_train`; means and deviations are those of the
    whole training split.

    Args:
        config: Which data set, where, and how much of it.
        device: Where its tensors live.

    Returns:
        The data set. Its tensors are shared between callers: never write to them. What
        does not fit into `data.memory_share` is read while it is used, by processes of
        this data set's own.

    Raises:
        DataError: If it is smaller than `data.num_train` or `data.batch_size` ask.
        DataUnreadableError: If it cannot be read; if another process does not end its
            download of it.
        DataMissingError: If it is not where it should be, or broken.

    Example:
        >>> digits = load_dataset(DataConfig(name="digits"))
        >>> len(digits.train), len(digits.val), len(digits.test)
        (1197, 300, 300)
        >>> digits.train.images.shape[1:], digits.num_classes
        (torch.Size([1, 8, 8]), 10)
    """
    bare = replace(config, **_ASIDE, root=_root(config))
    if not reads_anew(config):
        bare = replace(bare, memory_share=0)
    whole = _load(bare, version(), str(torch.device(device)))
    return _cut(whole, config).with_workers(config.workers)


_ASIDE: dict[str, Any] = {
    "batch_size": 64,
    "num_micro_batches": 1,
    "augment": False,
    "num_train": None,
    "workers": 0,
}
"""Fields that the files have nothing to do with, as they are by default."""


def reads_anew(config: DataConfig) -> bool:
    """Whether its images may be read one by one, as often as they are used.

    Example:
        >>> reads_anew(DataConfig(name="digits"))
        False
        >>> reads_anew(DataConfig(name="image_folder"))
        True
    """
    return "memory_share" in ingredient("dataset", config.name).reads


def _root(config: DataConfig) -> str:
    """The folder of the files, absolute, which need not be there.

    Raises:
        DataUnreadableError: If it cannot have this name.
    """
    try:
        return os.path.realpath(os.path.expanduser(config.root))
    except UnicodeEncodeError as err:
        raise DataUnreadableError(
            "`data.root` must be a name in the encoding of the locale, "
            f"{err.encoding}, but got {show(config.root)}. Set LC_ALL to C.UTF-8, or "
            "PYTHONUTF8 to 1."
        ) from err


def data_fingerprints(configs: Iterable[DataConfig]) -> dict[str, str]:
    """The hash of every data set, by name; what is missing is said by loading it.

    Raises:
        DataError: As `load_dataset`.
    """
    fingerprints = {}
    for config in configs:
        load_dataset(config)
        fingerprints[config.name] = data_fingerprint(config)
    return fingerprints


def data_at_hand(configs: Iterable[DataConfig]) -> tuple[dict[str, str], list[str]]:
    """The hash of every data set that can be read now, and what is said of the others.

    Nothing is downloaded.

    Raises:
        DataError: If one is smaller than asked.
    """
    fingerprints, missing = {}, []
    for config in configs:
        try:
            fingerprints |= data_fingerprints([replace(config, download=False)])
        except DataMissingError as err:
            later = f"{config.name} is not whole in {config.root}; a run downloads it."
            missing.append(later if config.download else str(err))
        except DataUnreadableError as err:
            missing.append(str(err))
    return fingerprints, missing


def data_fingerprint(config: DataConfig) -> str:
    """A hash of the whole data set a config names: images, classes and splits.

    Raises:
        DataError: As `load_dataset`.

    Example:
        >>> digits = data_fingerprint(DataConfig(name="digits"))
        >>> digits == data_fingerprint(DataConfig(name="digits", num_train=100))
        True
        >>> digits == data_fingerprint(DataConfig(name="synthetic"))
        False
    """
    # Of what is read one by one the files are looked at: nothing need be held.
    dataset = load_dataset(replace(config, num_train=None, memory_share=0))
    if dataset.digest is not None:
        return dataset.digest()
    digest = hashlib.sha256()
    for split in (dataset.train, dataset.val, dataset.test):
        _hash_split(split, digest)
    return digest.hexdigest()[:16]


def _hash_split(split: AnySplit, digest: "hashlib._Hash") -> None:
    dtype = split.first(1).images.dtype
    digest.update(f"{dtype} {(len(split), *split.shape)}".encode())
    for batch in split.in_order(HASHED):
        digest.update(batch.images.numpy().tobytes())
    digest.update(f"{split.targets.dtype} {tuple(split.targets.shape)}".encode())
    digest.update(split.targets.numpy().tobytes())


def _cut(dataset: Dataset, config: DataConfig) -> Dataset:
    available = len(dataset.train)
    for name, asked in (
        ("num_train", config.num_train),
        ("batch_size", config.batch_size),
    ):
        if asked is not None and asked > available:
            raise DataError(
                f"`data.{name}` must be at most {available}, the training images of "
                f"{config.name}, but got {asked}."
            )
    return replace(dataset, train=dataset.train.first(config.num_train))


@lru_cache(maxsize=4)
def _load(config: DataConfig, _version: int, device: str) -> Dataset:
    """The whole data set; `_version` is that of what is registered."""
    place = DataPlace(root=Path(config.root), download=config.download)
    found = ingredient("dataset", config.name).of(config, place)
    if not isinstance(found, (Source, LazySource)):
        raise DataError(
            f"The data set {config.name} must be a `Source`, but its function gives "
            f"{cut(repr(found))}. Return orthotune.Source(...)."
        )
    room = config.memory_share * free_bytes(torch.device(device))
    return split_source(found, room).to(torch.device(device))
