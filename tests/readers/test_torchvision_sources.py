import pytest
import torch

from orthotune.config.sections import DataConfig
from orthotune.data.datasets import load_dataset
from tests.data.small_files import check_splits, fashion_config


@pytest.mark.parametrize(
    ("name", "kind", "num_classes"),
    [("cifar10", "CIFAR10", 10), ("cifar100", "CIFAR100", 100)],
)
def test_cifar_is_read_from_torchvisions_files(
    name, kind, num_classes, cifar, tmp_path
):
    train, test = cifar(kind, num_classes)
    dataset = load_dataset(DataConfig(name=name, root=str(tmp_path), batch_size=4))
    check_splits(dataset, train, test, (3, 32, 32))
    assert dataset.num_classes == num_classes
    assert dataset.flips
    images = dataset.normalize(dataset.train.images).double()
    means = images.mean((0, 2, 3))
    torch.testing.assert_close(means, torch.zeros_like(means), rtol=0, atol=1e-6)


def test_svhn_is_read_from_torchvisions_files(svhn, tmp_path):
    train, test = svhn()
    dataset = load_dataset(DataConfig(name="svhn", root=str(tmp_path), batch_size=4))
    check_splits(dataset, train, test, (3, 32, 32))
    assert dataset.num_classes == 10
    assert not dataset.flips  # a mirrored 2 is no 2


def test_fashion_mnist_is_read_from_torchvisions_files(fashion, tmp_path):
    train, test = fashion()
    dataset = load_dataset(fashion_config(tmp_path))
    check_splits(dataset, train, test, (1, 28, 28))
    assert dataset.num_classes == 10
    assert dataset.flips
