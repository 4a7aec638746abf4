"""The data sets that come with orthotune."""

from typing import TYPE_CHECKING

from orthotune.config.contracts import DataPlace
from orthotune.config.decorators import dataset

if TYPE_CHECKING:
    from orthotune.data.dataset import Source


@dataset("digits")
def digits(_place: DataPlace) -> "Source":
    """scikit-learn's digits, embedded."""
    from orthotune.data import digits as reader

    return reader.digits()


@dataset("cifar10")
def cifar10(place: DataPlace) -> "Source":
    """CIFAR-10, torchvision's files."""
    from orthotune.data.torchvision_sources import torchvision_source

    return torchvision_source("CIFAR10", 10, place, flips=True)


@dataset("cifar100")
def cifar100(place: DataPlace) -> "Source":
    """CIFAR-100, torchvision's files."""
    from orthotune.data.torchvision_sources import torchvision_source

    return torchvision_source("CIFAR100", 100, place, flips=True)


@dataset("svhn")
def svhn(place: DataPlace) -> "Source":
    """Street View House Numbers, torchvision's files."""
    from orthotune.data.torchvision_sources import torchvision_source

    return torchvision_source("SVHN", 10, place, flips=False, by_split=True)


@dataset("fashion_mnist")
def fashion_mnist(place: DataPlace) -> "Source":
    """Fashion-MNIST, torchvision's files."""
    from orthotune.data.torchvision_sources import torchvision_source

    return torchvision_source("FashionMNIST", 10, place, flips=True)


@dataset("synthetic")
def synthetic(_place: DataPlace) -> "Source":
    """Noisy prototypes that any network learns."""
    from orthotune.data import synthetic as maker

    return maker.synthetic()
