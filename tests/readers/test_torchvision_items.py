import functools

import pytest

from orthotune.data.dataset import split_source
from orthotune.readers.settings import TorchvisionConfig
from orthotune.readers.torchvision_items import torchvision_items
from tests.data.small_files import splits
from tests.data.small_images import refused, write_classes

pytestmark = pytest.mark.usefixtures("torchvision")


@pytest.fixture
def torchvision():
    return pytest.importorskip("torchvision")


def config(name, **more):
    return TorchvisionConfig(dataset=name, size=8, **more)


def test_the_parts_that_torchvision_knows_are_taken(tmp_path):
    for part, num in (("train", 10), ("valid", 4), ("test", 3)):
        write_classes(tmp_path / "country211" / part, num=num, size=(30, 20))
    source = torchvision_items(config("Country211"), tmp_path, download=False)
    for room in (1e9, 0):
        dataset = split_source(source, room)
        assert [len(split) for split in splits(dataset)] == [20, 8, 6]
        assert dataset.val.targets.tolist() == [0] * 4 + [1] * 4
        assert dataset.test.images.shape == (6, 3, 8, 8)


def test_a_data_set_in_one_part_is_split_by_us(tmp_path):
    write_classes(tmp_path / "eurosat" / "2750", num=10, size=(9, 9))
    grey = config("EuroSAT", channels=1)
    dataset = split_source(torchvision_items(grey, tmp_path, download=False))
    assert [len(split) for split in splits(dataset)] == [12, 4, 4]
    assert dataset.train.images.shape[1:] == (1, 8, 8)


def test_streamed_and_decoded_labels_agree(tmp_path, monkeypatch):
    write_classes(tmp_path / "eurosat" / "2750", ("ant", "bee", "cat"), num=4)
    read = functools.partial(torchvision_items, config("EuroSAT"), tmp_path, False)
    listed = read().targets.tolist()
    datasets = pytest.importorskip("torchvision.datasets")
    init = datasets.EuroSAT.__init__

    def without_list(self, *args, **how):
        init(self, *args, **how)
        self.targets = None

    monkeypatch.setattr(datasets.EuroSAT, "__init__", without_list)
    assert read().targets.tolist() == listed == [0] * 4 + [1] * 4 + [2] * 4


def test_an_unknown_class_is_refused_with_the_nearest(tmp_path):
    message = refused(
        lambda: torchvision_items(config("Flower102"), tmp_path, download=False)
    )
    assert "a class of torchvision.datasets, but got 'Flower102'." in message
    assert "Flowers102" in message


def test_missing_files_are_said_in_torchvisions_words(tmp_path):
    message = refused(
        lambda: torchvision_items(config("EuroSAT"), tmp_path, download=False)
    )
    assert message == (
        f"`data.root` must hold EuroSAT, but of {tmp_path} torchvision says: Dataset "
        "not found. You can use download=True to download it. Set `data.download` to "
        "true where there is a network, or give another `data.root`."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_broken_image_is_refused_with_its_place(tmp_path):
    folder = tmp_path / "eurosat" / "2750"
    write_classes(folder, num=4)
    (folder / "bee" / "002.png").write_bytes(b"no image")
    source = torchvision_items(config("EuroSAT"), tmp_path, download=False)
    message = refused(lambda: split_source(source))
    assert "hold images of EuroSAT, but image 6 of its part 1 cannot be read" in message
    assert "002.png" in message


def test_what_is_no_classification_is_refused(tmp_path):
    (tmp_path / "sbu").mkdir()
    name = "VOCSegmentation"
    message = refused(lambda: torchvision_items(config(name), tmp_path, download=False))
    assert "VOCSegmentation" in message
