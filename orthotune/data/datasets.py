"""The data sets by name, held as tensors, split by a fixed seed.

Letters: `N` images of a split, `B` batch, `C` channels, `H`, `W` height and width.

Every data set has three splits. Search and ablation look at validation only; the test
split is for a configuration already chosen. The split is a property of the data set,
not of the trial: it does not depend on the trial's seed.
"""

import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from orthotune.config.rules import show
from orthotune.config.sections import DataConfig
from orthotune.data.torchvision_reader import read_parts
from orthotune.errors import DataError, DataMissingError, DataUnreadableError

SPLIT_SEED = 1703_01827
DIGITS_HELD_OUT = 300  # images each of validation and test, of 1,797
VAL_FRAC = 0.1  # of a data set with an official test split: 5,000 of CIFAR's 50,000


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and their classes.

    Args:
        images: Tensor `(N, C, H, W)`, uint8 or float32, as stored.
        targets: Tensor `(N,)` of int64 classes.
    """

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: Tensor) -> "Split":
        """The images at `index`, shape `(B,)`."""
        return Split(images=self.images[index], targets=self.targets[index])

    def first(self, num: int | None) -> "Split":
        """The first `num` images, or all for None."""
        return Split(images=self.images[:num], targets=self.targets[:num])

    def to(self, device: torch.device) -> "Split":
        """The same split on a device."""
        return Split(images=self.images.to(device), targets=self.targets.to(device))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set in three splits, with what is needed to normalize and augment it.

    Args:
        train: Training split, in a random but fixed order.
        val: Validation split.
        test: Test split.
        num_classes: Classes.
        mean: Mean of each channel over the training split, `(C, 1, 1)`.
        std: Standard deviation of each channel, likewise.
        flips: Whether a mirror image keeps its class.
    """

    train: Split
    val: Split
    test: Split
    num_classes: int
    mean: Tensor
    std: Tensor
    flips: bool

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return self.train.images.shape[1]

    def to(self, device: torch.device) -> "Dataset":
        """The same data set with every tensor on a device."""
        return replace(
            self,
            train=self.train.to(device),
            val=self.val.to(device),
            test=self.test.to(device),
            mean=self.mean.to(device),
            std=self.std.to(device),
        )

    def normalize(self, images: Tensor) -> Tensor:
        """Images `(B, C, H, W)` as float32 of mean 0 and variance 1, channels last."""
        images = (images.float() - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Images as they come: one array with or without an official test part."""

    images: np.ndarray  # (N, C, H, W)
    targets: np.ndarray  # (N,)
    test_images: np.ndarray | None = None
    test_targets: np.ndarray | None = None
    num_classes: int
    flips: bool


def load_dataset(config: DataConfig, device: torch.device | str = "cpu") -> Dataset:
    """The data set a config names, on a device; loaded once a process.

    The training split is cut to `data.num_train`; means and deviations are those of the
    whole training split.

    Args:
        config: Which data set, where, and how much of it.
        device: Where its tensors live.

    Returns:
        The data set. Its tensors are shared between callers: never write to them.

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
    root = _root(config)
    dataset = _load(config.name, root, config.download, str(torch.device(device)))
    return _cut(dataset, config)


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
    dataset = load_dataset(replace(config, num_train=None))
    digest = hashlib.sha256()
    for split in (dataset.train, dataset.val, dataset.test):
        for tensor in (split.images, split.targets):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


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
def _load(name: str, root: str, download: bool, device: str) -> Dataset:
    source = _SOURCES[name](Path(root), download)
    return _split(source).to(torch.device(device))


def _split(source: _Source) -> Dataset:
    whole = _as_split(source.images, source.targets)
    order = torch.randperm(len(whole), generator=Generator().manual_seed(SPLIT_SEED))
    if source.test_images is None or source.test_targets is None:
        num_val = num_test = DIGITS_HELD_OUT
        official = None
    else:
        num_val, num_test = round(len(whole) * VAL_FRAC), 0
        official = _as_split(source.test_images, source.test_targets)
    sizes = [len(whole) - num_val - num_test, num_val, num_test]
    train, val, held_out = (whole.take(index) for index in order.split(sizes))
    test = held_out if official is None else official
    mean, std = _channel_moments(train.images)
    return Dataset(
        train=train,
        val=val,
        test=test,
        num_classes=source.num_classes,
        mean=mean,
        std=std,
        flips=source.flips,
    )


def _as_split(images: np.ndarray, targets: np.ndarray) -> Split:
    return Split(
        images=torch.from_numpy(np.ascontiguousarray(images)),
        targets=torch.from_numpy(targets.astype(np.int64)),
    )


def _channel_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, `(C, 1, 1)`, in float64 a chunk at a time."""
    total = torch.zeros(images.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    for chunk in images.split(4096):
        values = chunk.double()
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    count = images.numel() / images.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(1e-12).sqrt()
    return mean.float()[:, None, None], std.float()[:, None, None]


def augment(images: Tensor, draws: Tensor, flips: bool) -> Tensor:
    """A random crop of each zero-padded image, and a random mirror image.

    Args:
        images: Normalized images `(B, C, H, W)`; zero is the mean.
        draws: Uniform numbers in [0, 1), shape `(B, 3)`: row, column, mirror.
        flips: Whether to mirror at all.

    Returns:
        Images of the same shape, channels last in memory. The padding is an eighth of
        the height (4 pixels at 32), at least 1.

    Example:
        >>> image = torch.arange(4.0).view(1, 1, 2, 2)
        >>> augment(image, torch.tensor([[0.5, 0.5, 0.0]]), flips=True).flatten()
        tensor([1., 0., 3., 2.])
    """
    size, _, height, width = images.shape
    pad = max(1, height // 8)
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad))
    offsets = (draws[:, :2] * (2 * pad + 1)).long()  # (B, 2)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)  # (B, H)
    columns = torch.arange(width, device=images.device).expand(size, -1)
    if flips:
        columns = torch.where(draws[:, 2:] < 0.5, columns.flip(1), columns)
    columns = offsets[:, 1:] + columns  # (B, W)
    image = torch.arange(size, device=images.device)[:, None, None]
    # Index arrays around the channel slice put it last: (B, H, W, C), channels last.
    crops = padded[image, :, rows[:, :, None], columns[:, None, :]]
    return crops.permute(0, 3, 1, 2)


def _digits(_root: Path, _download: bool) -> _Source:
    table = _digits_table()  # 64 pixels from 0 to 16, and the class
    images = table[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8)
    return _Source(images=images, targets=table[:, -1], num_classes=10, flips=False)


def _digits_table() -> np.ndarray:
    """scikit-learn's digits, a row each; from its file, if it is where it has been.

    Importing scikit-learn takes a second, of every process that trains.
    """
    found = importlib.util.find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    return np.column_stack([np.asarray(pixels), np.asarray(targets)])


def _synthetic(_root: Path, _download: bool) -> _Source:
    """Ten noisy prototypes at 8x8 with three channels; 2,000 images."""
    generator = np.random.default_rng(SPLIT_SEED)
    prototypes = generator.standard_normal((10, 3, 8, 8))
    targets = generator.integers(0, 10, 2000)
    noise = generator.standard_normal((2000, 3, 8, 8))
    images = (prototypes[targets] + noise).astype(np.float32)
    return _Source(images=images, targets=targets, num_classes=10, flips=False)


def _torchvision(
    name: str, num_classes: int, flips: bool, by_split: bool = False
) -> Callable[[Path, bool], _Source]:
    """A loader of one of torchvision's data sets.

    Args:
        name: torchvision's class.
        num_classes: Classes.
        flips: Whether a mirror image keeps its class.
        by_split: Whether the class takes `split="train"` rather than `train=True`.
    """

    def load(root: Path, download: bool) -> _Source:
        parts = [{"train": True}, {"train": False}]
        if by_split:
            parts = [{"split": "train"}, {"split": "test"}]
        (images, targets), (test_images, test_targets) = read_parts(
            name, root, parts, num_classes, download=download
        )
        return _Source(
            images=images,
            targets=targets,
            test_images=test_images,
            test_targets=test_targets,
            num_classes=num_classes,
            flips=flips,
        )

    return load


_SOURCES: dict[str, Callable[[Path, bool], _Source]] = {
    "digits": _digits,
    "synthetic": _synthetic,
    "cifar10": _torchvision("CIFAR10", 10, flips=True),
    "cifar100": _torchvision("CIFAR100", 100, flips=True),
    "svhn": _torchvision("SVHN", 10, flips=False, by_split=True),
    "fashion_mnist": _torchvision("FashionMNIST", 10, flips=True),
}
