"""The data sets in their files' formats that tests of `data` read, too."""

from tests.data.conftest import cifar, fashion, fresh, server, svhn

__all__ = ["cifar", "fashion", "fresh", "server", "svhn"]
