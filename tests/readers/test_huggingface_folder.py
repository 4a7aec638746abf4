import functools
import sys

import numpy as np
import pytest

from orthotune.data.dataset import split_source
from orthotune.readers.huggingface_folder import huggingface_folder
from orthotune.readers.settings import HuggingfaceConfig
from tests.data.small_files import splits
from tests.data.small_images import picture, refused

SMALL = HuggingfaceConfig(size=8)
read = functools.partial(huggingface_folder, SMALL)


@pytest.fixture
def saved(tmp_path):
    """A function that saves parts of so many images, and gives their folder."""
    datasets = pytest.importorskip("datasets")
    classes = datasets.ClassLabel(names=["ant", "bee"])
    features = datasets.Features({"image": datasets.Image(), "label": classes})

    def part(num, labels=None):
        images = [picture(number, (8, 8)) for number in range(num)]
        labels = [number % 2 for number in range(num)] if labels is None else labels
        columns = {"image": images, "label": labels}
        return datasets.Dataset.from_dict(columns, features=features)

    def save(*, whole=None, **parts):
        root = tmp_path / "saved"
        if whole is None:
            made = {name: part(num) for name, num in parts.items()}
            datasets.DatasetDict(made).save_to_disk(root)
        else:
            part(len(whole), whole).save_to_disk(root)
        return root

    return save


def test_the_parts_of_a_saved_data_set_are_taken(saved):
    source = read(saved(train=12, validation=6, test=4))
    for room in (1e9, 0):
        dataset = split_source(source, room)
        assert [len(split) for split in splits(dataset)] == [12, 6, 4]
        assert dataset.val.targets.tolist() == [0, 1] * 3
        expected = np.asarray(picture(3, (8, 8))).transpose(2, 0, 1)
        assert np.array_equal(dataset.val.images[3].numpy(), expected)


def test_a_data_set_in_one_part_is_split_by_us(saved):
    dataset = split_source(read(saved(whole=[0, 1] * 10)))
    assert [len(split) for split in splits(dataset)] == [12, 4, 4]


def test_what_is_no_such_data_set_is_refused(saved, tmp_path):
    root = saved(whole=[0, 1, -1])
    assert "has other labels. Choose a data set for classific" in refused(
        lambda: read(root)
    )
    other = HuggingfaceConfig(label="class")
    message = refused(lambda: huggingface_folder(other, root))
    assert f"but {root} has no column class in image, label. Save the" in message
    message = refused(lambda: read(tmp_path / "lost"))
    assert f"but {tmp_path}/lost is not there. Save it there, or give" in message
    (tmp_path / "empty").mkdir()
    assert f"but {tmp_path}/empty is none (" in refused(
        lambda: read(tmp_path / "empty")
    )


def test_images_of_one_class_are_refused(saved):
    root = saved(whole=[1, 1, 1])
    assert "but all are of class 1. Choose another" in refused(lambda: read(root))


def test_parts_without_one_to_train_with_are_refused(saved):
    root = saved(test=3)
    assert "has no part `train`, only test. Save" in refused(lambda: read(root))


def test_a_missing_package_is_refused_with_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # as if not installed
    message = refused(lambda: read(tmp_path))
    assert message.startswith("The package datasets must be installed to read a Huggin")
    assert message.endswith('Install it: pip install "orthotune[huggingface]".')
