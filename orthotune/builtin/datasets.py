"""The data sets that come with orthotune."""

from typing import TYPE_CHECKING

from orthotune.config.contracts import DataPlace
from orthotune.config.decorators import dataset
from orthotune.readers.settings import (
    HuggingfaceConfig,
    ImageFolderConfig,
    NpzConfig,
    PtConfig,
    TorchvisionConfig,
)

if TYPE_CHECKING:
    from orthotune.data.dataset import LazySource, Source

READ_ANEW = ("memory_share", "workers")
"""What is read of `DataConfig` where images are read one by one."""


@dataset("digits")
def digits(_place: DataPlace) -> "Source":
    """scikit-learn's digits, embedded."""
    from orthotune.readers import digits as reader

    return reader.digits()


@dataset("cifar10")
def cifar10(place: DataPlace) -> "Source":
    """CIFAR-10, torchvision's files."""
    from orthotune.readers.torchvision_sources import torchvision_source

    return torchvision_source("CIFAR10", 10, place, flips=True)


@dataset("cifar100")
def cifar100(place: DataPlace) -> "Source":
    """CIFAR-100, torchvision's files."""
    from orthotune.readers.torchvision_sources import torchvision_source

    return torchvision_source("CIFAR100", 100, place, flips=True)


@dataset("svhn")
def svhn(place: DataPlace) -> "Source":
    """Street View House Numbers, torchvision's files."""
    from orthotune.readers.torchvision_sources import torchvision_source

    return torchvision_source("SVHN", 10, place, flips=False, by_split=True)


@dataset("fashion_mnist")
def fashion_mnist(place: DataPlace) -> "Source":
    """Fashion-MNIST, torchvision's files."""
    from orthotune.readers.torchvision_sources import torchvision_source

    return torchvision_source("FashionMNIST", 10, place, flips=True)


@dataset("mnist")
def mnist(place: DataPlace) -> "Source":
    """MNIST, torchvision's files."""
    from orthotune.readers.torchvision_sources import torchvision_source

    return torchvision_source("MNIST", 10, place, flips=False)


@dataset("kmnist")
def kmnist(place: DataPlace) -> "Source":
    """Kuzushiji-MNIST, torchvision's files."""
    from orthotune.readers.torchvision_sources import torchvision_source

    return torchvision_source("KMNIST", 10, place, flips=False)


@dataset("synthetic")
def synthetic(_place: DataPlace) -> "Source":
    """Noisy prototypes that any network learns."""
    from orthotune.readers import synthetic as maker

    return maker.synthetic()


@dataset("image_folder", reads=READ_ANEW)
def image_folder(settings: ImageFolderConfig, place: DataPlace) -> "LazySource":
    """Class folders of JPEG and PNG files."""
    from orthotune.readers import image_folder as reader

    return reader.image_folder(settings, place.root)


@dataset("npz")
def npz(settings: NpzConfig, place: DataPlace) -> "Source":
    """Arrays of images and labels in one of NumPy's files."""
    from orthotune.readers import array_file

    return array_file.npz(settings, place.root)


@dataset("pt")
def pt(settings: PtConfig, place: DataPlace) -> "Source":
    """Tensors of images and labels in one of torch's files."""
    from orthotune.readers import array_file

    return array_file.pt(settings, place.root)


@dataset("torchvision", reads=READ_ANEW)
def torchvision(settings: TorchvisionConfig, place: DataPlace) -> "LazySource":
    """Any of torchvision's data sets, by the name of its class."""
    from orthotune.readers.torchvision_items import torchvision_items

    return torchvision_items(settings, place.root, place.download)


@dataset("huggingface", reads=READ_ANEW)
def huggingface(settings: HuggingfaceConfig, place: DataPlace) -> "LazySource":
    """A folder that Hugging Face's `datasets` has saved."""
    from orthotune.readers.huggingface_folder import huggingface_folder

    return huggingface_folder(settings, place.root)
