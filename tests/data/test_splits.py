import pytest
import torch

from orthotune.data.dataset import split_source
from orthotune.data.splits import Split, StreamedSplit
from orthotune.readers.image_folder import image_folder
from orthotune.readers.settings import ImageFolderConfig
from tests.data.small_images import write_classes


def both(tmp_path):
    """The same training split in memory and on the disk."""
    write_classes(tmp_path, num=10)
    source = image_folder(ImageFolderConfig(size=8), tmp_path)
    held, streamed = split_source(source).train, split_source(source, 0).train
    assert isinstance(held, Split)
    assert isinstance(streamed, StreamedSplit)
    return held, streamed


@pytest.mark.parametrize("place", [0, 1], ids=["held", "streamed"])
def test_batches_parts_and_passes_are_those_of_tensors(place, tmp_path):
    pair = both(tmp_path)
    images, targets, split = pair[0].images, pair[0].targets, pair[place]
    order = torch.tensor([[3, 0, 5], [1, 1, 11]])
    batches = list(split.batches(order))
    assert len(batches) == 2
    batches.append(split.take(order[0]))
    for batch, index in zip(batches, [*order, order[0]], strict=True):
        assert torch.equal(batch.images, images[index])
        assert torch.equal(batch.targets, targets[index])
    passed = list(split.in_order(5))
    assert [len(batch) for batch in passed] == [5, 5, 2]
    assert torch.equal(torch.cat([batch.images for batch in passed]), images)
    assert torch.equal(torch.cat([batch.targets for batch in passed]), targets)
    first = split.first(4)
    assert len(first) == 4
    assert torch.equal(first.images, images[:4])
    assert torch.equal(split.first(None).images, images)
    assert split.shape == (3, 8, 8)


def test_a_streamed_split_gives_its_batches_on_a_device(tmp_path):
    streamed = both(tmp_path)[1].to(torch.device("meta"))
    batch = next(streamed.batches(torch.tensor([[0, 1]])))
    assert batch.images.device.type == batch.targets.device.type == "meta"
