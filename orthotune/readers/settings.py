"""The settings of data sets that are read from files, by the names of their fields.

Checked before torch, Pillow or the files are looked at.
"""

from dataclasses import dataclass

from orthotune.config.fields import check_fields
from orthotune.config.rules import Rule, setting, show
from orthotune.errors import ConfigError


def _check_channels(channels: int) -> None:
    if channels == 2:
        raise ValueError("must be 1 (grey) or 3 (red, green, blue), but got 2.")


@dataclass(frozen=True, kw_only=True)
class FramingConfig:
    """The size and the channels that images of any size are brought to."""

    size: int = setting(64, Rule(kind=int, low=4, high=1024))
    """Height and width of what the network sees, cut from the middle of the resized
    image. Default 64."""

    resize: int | None = setting(None, Rule(kind=int, low=4, high=2048, optional=True))
    """Pixels of the shorter side before the middle is cut out, at least `size`; null
    for `size`, which loses least of the image. Default null."""

    channels: int = setting(3, Rule(kind=int, low=1, high=3, extra=_check_channels))
    """1 (grey) or 3 (red, green, blue); images of the other kind are converted.
    Default 3."""

    flips: bool = setting(False, Rule(kind=bool))
    """Whether a mirror image keeps its class: then `data.augment` mirrors, too. Default
    false."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.resize is not None and self.resize < self.size:
            raise ConfigError(
                "resize",
                f"must be at least the `size` of {self.size}, but got {self.resize}.",
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of an image."""
        return self.channels, self.size, self.size


@dataclass(frozen=True, kw_only=True)
class ImageFolderConfig(FramingConfig):
    """Class folders of JPEG and PNG files in `data.root`."""


@dataclass(frozen=True, kw_only=True)
class TorchvisionConfig(FramingConfig):
    """One of torchvision's data sets, in `data.root`."""

    dataset: str = setting("Flowers102", Rule(kind=str))
    """The name of torchvision's class, such as Flowers102, EuroSAT, Food101: one whose
    items are an image and its class. Default Flowers102."""


@dataclass(frozen=True, kw_only=True)
class HuggingfaceConfig(FramingConfig):
    """A Hugging Face data set, saved in `data.root`."""

    image: str = setting("image", Rule(kind=str))
    """The column of the images. Default image."""

    label: str = setting("label", Rule(kind=str))
    """The column of the classes, integers from 0. Default label."""


def _check_file(name: str) -> None:
    if not name or "\0" in name:
        raise ValueError(f"must be the path of a file, but got {show(name)}.")


@dataclass(frozen=True, kw_only=True)
class NpzConfig:
    """Arrays in NumPy's .npz."""

    file: str = setting("images.npz", Rule(kind=str, extra=_check_file))
    """The file, below `data.root`. Default images.npz."""

    flips: bool = setting(False, Rule(kind=bool))
    """Whether a mirror image keeps its class: then `data.augment` mirrors, too. Default
    false."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class PtConfig:
    """Tensors in torch's .pt."""

    file: str = setting("images.pt", Rule(kind=str, extra=_check_file))
    """The file, below `data.root`: a dict of tensors, or images and labels as a pair.
    Default images.pt."""

    flips: bool = setting(False, Rule(kind=bool))
    """Whether a mirror image keeps its class: then `data.augment` mirrors, too. Default
    false."""

    def __post_init__(self) -> None:
        check_fields(self)
