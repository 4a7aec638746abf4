import subprocess
import sys
from collections import Counter

import numpy as np
import torch
from sklearn.datasets import load_digits

from orthotune.config.sections import DataConfig
from orthotune.data.datasets import load_dataset
from orthotune.readers import digits
from tests.data.small_files import keys, splits


def test_digits_are_the_same_where_scikit_learn_keeps_them_elsewhere(monkeypatch):
    from_file = digits._digits_table()
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda _name: None)
    np.testing.assert_array_equal(from_file, digits._digits_table())


def test_every_digit_of_scikit_learn_is_in_exactly_one_split():
    dataset = load_dataset(DataConfig(name="digits"))
    assert [len(split) for split in splits(dataset)] == [1197, 300, 300]
    theirs = load_digits()
    expected = Counter(keys(theirs.images.astype(np.uint8)[:, None], theirs.target))
    found = Counter()
    for split in splits(dataset):
        found.update(keys(split.images, split.targets))
    assert found == expected
    # Some digits are in the data set twice, so that equal images may be in two splits:
    # disjoint splits are proved by the counts, not by distinct images.
    assert found.total() == 1797


def test_digits_do_not_wait_for_scikit_learn():
    code = (
        "import sys; from orthotune.config.trial import DataConfig; "
        "from orthotune.data.datasets import load_dataset; "
        "load_dataset(DataConfig(name='digits')); "
        "sys.exit('sklearn.datasets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_digits_are_as_stored():
    dataset = load_dataset(DataConfig(name="digits"))
    assert dataset.num_classes == 10
    assert dataset.shape.channels == 1
    assert not dataset.flips
    for split in splits(dataset):
        assert split.images.dtype == torch.uint8
        assert split.images.shape == (len(split), 1, 8, 8)
        assert split.targets.dtype == torch.int64
        assert split.targets.shape == (len(split),)
        counts = torch.bincount(split.targets, minlength=10)
        assert counts.min().item() > 0.06 * len(split)  # every class in every split
    assert dataset.train.images.max().item() == 16
