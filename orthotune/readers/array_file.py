"""Arrays of images and labels in one file: NumPy's .npz, or torch's .pt.

Letters: `N` images of a part, `C` channels, `H`, `W` height and width.

Nothing in a file is executed: what is not a plain array or tensor is refused.
"""

import pickle
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from orthotune.data.dataset import Source
from orthotune.errors import DataMissingError, DataUnreadableError
from orthotune.readers.settings import NpzConfig, PtConfig

IMAGES, LABELS = ("images", "x", "data"), ("labels", "y", "targets")
"""What the arrays may be called, alone or with `train`, `val` or `test` before or after
it: `images`, `train_images`, `x_train`."""

PARTS = {"train": ("train", ""), "val": ("val", "valid"), "test": ("test",)}


def npz(settings: NpzConfig, root: Path) -> Source:
    """The arrays of an .npz file.

    Raises:
        DataUnreadableError: If it does not hold images and labels that fit.
    """
    return _source(root / settings.file, settings.flips, _read_npz)


def pt(settings: PtConfig, root: Path) -> Source:
    """The tensors of a .pt file.

    Raises:
        DataUnreadableError: If it does not hold images and labels that fit.
    """
    return _source(root / settings.file, settings.flips, _read_pt)


def _source(
    path: Path, flips: bool, read: Callable[[Path], Mapping[str, Any]]
) -> Source:
    if not path.is_file():
        if path.exists():
            raise _refusal(path, "is no file")
        raise DataMissingError(
            f"`data.root` must hold a file of arrays, but {path} is not there. Put it "
            "there, or name another one in the settings of the data set."
        )
    try:
        arrays = read(path)
    except OSError as err:
        problem = err.strerror or "it is only a part of one"
        raise _refusal(path, f"cannot be read ({problem})") from err
    except (EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as err:
        problem = "is only a part of one, or another file"
        raise _refusal(path, problem if path.stat().st_size else "is empty") from err
    except (ValueError, pickle.UnpicklingError) as err:
        problem = "holds objects that loading would execute, or no arrays at all"
        raise _refusal(path, problem) from err
    parts = {part: _part(path, arrays, part) for part in PARTS}
    return _checked(path, parts, flips)


def _read_npz(path: Path) -> Mapping[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("one array")
        return {name: file[name] for name in file.files}


def _read_pt(path: Path) -> Mapping[str, Any]:
    import torch

    if zipfile.is_zipfile(path):  # as torch writes it, whose checksums it never reads
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:
                raise zipfile.BadZipFile
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a pickle, which is refused anyway
        found = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(found, (tuple, list)) and len(found) == 2:
        found = {"images": found[0], "labels": found[1]}
    if not isinstance(found, dict):
        raise ValueError("no dict")
    arrays = {}
    for name, value in found.items():
        if isinstance(value, torch.Tensor):
            plain = value.float() if value.dtype == torch.bfloat16 else value
            arrays[str(name)] = plain.numpy(force=True)
    return arrays


Part = tuple[np.ndarray, np.ndarray]


def _part(path: Path, arrays: Mapping[str, Any], part: str) -> Part | None:
    """The images `(N, C, H, W)` and labels `(N,)` of a part, if there are any."""
    found = [_named(arrays, part, names) for names in (IMAGES, LABELS)]
    if found == [None, None] and part != "train":
        return None
    names = ", ".join(sorted(arrays)) or "nothing"
    if found[0] is None:
        raise _refusal(path, f"names no array `images` or `x` among {names[:80]}")
    if found[1] is None:
        raise _refusal(path, f"names no array `labels` or `y` among {names[:80]}")
    images = _images(path, found[0], arrays[found[0]])
    labels = _labels(path, found[1], arrays[found[1]])
    if len(images) != len(labels):
        raise _refusal(path, f"holds {len(labels)} labels for {len(images)} images")
    return images, labels


def _named(arrays: Mapping[str, Any], part: str, names: tuple[str, ...]) -> str | None:
    """What an array of a part is called."""
    for word in PARTS[part]:
        for name in names:
            forms = (f"{word}_{name}", f"{name}_{word}") if word else (name,)
            for form in forms:
                if form in arrays:
                    return form
    return None


def _images(path: Path, name: str, images: np.ndarray) -> np.ndarray:
    """Images as `(N, C, H, W)`, uint8 or finite float32."""
    if images.ndim not in (3, 4) or 0 in images.shape:
        shape = "x".join(map(str, images.shape)) or "one number"
        raise _refusal(path, f"holds `{name}` of shape {shape}, not N x H x W (x C)")
    if images.dtype.kind == "f":
        images = images.astype(np.float32)
        if not np.isfinite(images).all():
            row = int(np.argwhere(~np.isfinite(images))[0][0])
            raise _refusal(path, f"holds a NaN or infinity in `{name}`, image {row}")
    elif images.dtype != np.uint8:
        bad = images.dtype.kind not in "iub"
        if bad or images.min() < 0 or images.max() > 255:
            problem = f"holds `{name}` of type {images.dtype}, not bytes or floats"
            raise _refusal(path, problem)
        images = images.astype(np.uint8)
    return _channels_first(path, name, images)


def _channels_first(path: Path, name: str, images: np.ndarray) -> np.ndarray:
    """Images as `(N, C, H, W)`; the channels are 1, 3, or what is not the square."""
    if images.ndim == 3:
        return images[:, None]
    _, first, second, last = images.shape
    if first in (1, 3):
        return images
    if last in (1, 3) or (first == second and last < first):
        return images.transpose(0, 3, 1, 2)
    if second == last and first < second:
        return images
    shape = "x".join(map(str, images.shape))
    raise _refusal(path, f"holds `{name}` of shape {shape}, without 1 or 3 channels")


def _labels(path: Path, name: str, labels: np.ndarray) -> np.ndarray:
    """Labels as int64 `(N,)`."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        shape = "x".join(map(str, labels.shape))
        problem = f"holds `{name}` of type {labels.dtype} and shape {shape}"
        raise _refusal(path, f"{problem}, not an integer an image")
    if len(labels) and labels.min() < 0:
        raise _refusal(path, f"holds the label {labels.min()} in `{name}`")
    return labels.astype(np.int64)


def _checked(path: Path, parts: Mapping[str, Part | None], flips: bool) -> Source:
    train = parts["train"]
    if train is None:
        raise RuntimeError("A file without images to train with must be refused.")
    present = [part for part in parts.values() if part is not None]
    largest = max(int(labels.max()) for _, labels in present)
    if len(np.unique(train[1])) < 2:
        raise _refusal(path, "holds images of one class only")
    if largest >= len(train[1]):
        many = f"holds the label {largest} for {len(train[1])} images"
        raise _refusal(path, f"{many}: classes are numbered from 0")
    if len({(images.shape[1:], images.dtype) for images, _ in present}) > 1:
        raise _refusal(path, "holds parts whose images differ in shape or type")
    others = {
        f"{name}_{what}": part[place]
        for name, part in parts.items()
        if name != "train" and part is not None
        for place, what in enumerate(("images", "targets"))
    }
    return Source(
        images=train[0],
        targets=train[1],
        num_classes=largest + 1,
        flips=flips,
        **others,
    )


def _refusal(path: Path, problem: str) -> DataUnreadableError:
    return DataUnreadableError(
        f"`data.root` must hold a file of images and their labels, but {path} "
        f"{problem}. Write it again with arrays `images` and `labels`, plain numbers "
        "both."
    )
