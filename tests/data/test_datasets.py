import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from orthotune.config.sections import DataConfig
from orthotune.config.trial import TrialConfig
from orthotune.data import datasets as data
from orthotune.data.datasets import data_at_hand, data_fingerprint, load_dataset
from orthotune.data.splits import Split, StreamedSplit
from orthotune.errors import DataError
from orthotune.readers.settings import ImageFolderConfig
from tests.data.small_files import fashion_config, splits, write_idx
from tests.data.small_images import content_of, picture, write_classes


def test_the_splits_do_not_depend_on_the_trials_seed_or_on_torchs(fresh):
    torch.manual_seed(1)
    first = load_dataset(TrialConfig.from_dict({"seed": 1}).data)
    data._load.cache_clear()
    torch.manual_seed(2)
    second = load_dataset(TrialConfig.from_dict({"seed": 2}).data)
    for ours, theirs in zip(splits(first), splits(second), strict=True):
        assert ours.images is not theirs.images
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.targets, theirs.targets)


def test_loading_moves_no_global_generator(fresh):
    torch.manual_seed(0)
    np.random.seed(0)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    load_dataset(DataConfig(name="digits"))
    load_dataset(DataConfig(name="synthetic"))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpys).all()


def test_a_data_set_is_loaded_once_a_process():
    first = load_dataset(DataConfig(name="digits", num_train=100))
    second = load_dataset(DataConfig(name="digits", batch_size=8))
    assert first.val.images is second.val.images


def test_the_first_training_images_are_taken_and_nothing_else_changes():
    whole = load_dataset(DataConfig(name="digits"))
    part = load_dataset(DataConfig(name="digits", num_train=100))
    assert len(part.train) == 100
    assert torch.equal(part.train.images, whole.train.images[:100])
    assert torch.equal(part.train.targets, whole.train.targets[:100])
    assert torch.equal(part.mean, whole.mean)
    assert torch.equal(part.std, whole.std)
    assert part.val is whole.val
    assert part.test is whole.test


def test_all_training_images_may_be_asked_for_by_number():
    assert len(load_dataset(DataConfig(name="digits", num_train=1197)).train) == 1197
    load_dataset(DataConfig(name="digits", batch_size=1197))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"num_train": 1198},
            "`data.num_train` must be at most 1197, the training images of digits, "
            "but got 1198.",
        ),
        (
            {"batch_size": 1198},
            "`data.batch_size` must be at most 1197, the training images of digits, "
            "but got 1198.",
        ),
        (
            {"name": "synthetic", "num_train": 5000, "batch_size": 4000},
            "`data.num_train` must be at most 1400, the training images of synthetic, "
            "but got 5000.",
        ),
    ],
)
def test_more_images_than_there_are_are_refused(fields, message):
    with pytest.raises(DataError) as caught:
        load_dataset(DataConfig(**fields))
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_normalized_training_images_have_mean_zero_and_variance_one(name):
    dataset = load_dataset(DataConfig(name=name))
    images = dataset.normalize(dataset.train.images)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    by_channel = images.double().transpose(0, 1).flatten(1)
    zeros = torch.zeros(len(by_channel), dtype=torch.float64)
    # float32 images, means and deviations: a few units in the last place of each.
    tolerance = 8 * torch.finfo(torch.float32).eps
    torch.testing.assert_close(by_channel.mean(1), zeros, rtol=0, atol=tolerance)
    torch.testing.assert_close(
        by_channel.var(1, unbiased=False), zeros + 1, rtol=0, atol=tolerance
    )


def test_normalizing_is_invertible_by_hand():
    dataset = load_dataset(DataConfig(name="synthetic"))
    pixels = dataset.train.images.double().transpose(0, 1).flatten(1)  # (C, N H W)
    mean = pixels.mean(1)[:, None, None]
    std = pixels.std(1, unbiased=False)[:, None, None]
    expected = (dataset.val.images.double() - mean) / std
    ours = dataset.normalize(dataset.val.images)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-6, atol=1e-6)


def test_a_data_set_moves_to_a_device_whole():
    dataset = load_dataset(DataConfig(name="digits"), "meta")
    tensors = [dataset.mean, dataset.std]
    for split in splits(dataset):
        tensors += [split.images, split.targets]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_a_root_in_the_working_directory_is_found(fashion, tmp_path, monkeypatch):
    fashion()
    monkeypatch.chdir(tmp_path.parent)
    relative = load_dataset(
        DataConfig(name="fashion_mnist", root=tmp_path.name, batch_size=4)
    )
    assert relative.train is not None
    assert relative.val is load_dataset(fashion_config(tmp_path)).val


def test_a_name_that_the_locale_does_not_have_is_refused(tmp_path):
    (tmp_path / "trial.yaml").write_text("data.name: cifar10\ndata.root: dätä\n")
    done = subprocess.run(
        [sys.executable, "-m", "orthotune.train", "trial.yaml"],
        cwd=tmp_path,
        env={
            **os.environ,
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
        },
        capture_output=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        b"orthotune: `data.root` must be a name in the encoding of the locale, ascii, "
        b"but got the string 'd\\xe4t\\xe4'. Set LC_ALL to C.UTF-8, or PYTHONUTF8 to 1."
    ]


def test_data_sets_in_memory_need_no_torchvision(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    load_dataset(DataConfig(name="digits"))
    load_dataset(DataConfig(name="synthetic"))


# The fingerprint


def fingerprint(tmp_path, **more):
    data._load.cache_clear()
    config = DataConfig(name="fashion_mnist", root=str(tmp_path), batch_size=4, **more)
    return data_fingerprint(config)


@pytest.mark.parametrize("part", ["train", "t10k"])
@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_one_other_pixel_or_label_gives_another_fingerprint(
    part, kind, fashion, tmp_path
):
    fashion()
    before = fingerprint(tmp_path)
    file = tmp_path / "FashionMNIST" / "raw" / f"{part}-{kind}-ubyte"
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[-1] = (changed[-1] + 1) % 10  # of the last image
    assert sum(a != b for a, b in zip(changed, whole, strict=True)) == 1
    file.write_bytes(changed)
    assert fingerprint(tmp_path) != before
    file.write_bytes(whole)
    assert fingerprint(tmp_path) == before


def test_two_images_in_each_others_place_give_another_fingerprint(fashion, tmp_path):
    (images, targets), _ = fashion()
    before = fingerprint(tmp_path)
    raw = tmp_path / "FashionMNIST" / "raw"
    images[[0, 1]] = images[[1, 0]]
    labels = np.array([targets[1], targets[0], *targets[2:]], dtype=np.uint8)
    write_idx(raw / "train-images-idx3-ubyte", images)
    write_idx(raw / "train-labels-idx1-ubyte", labels)
    assert fingerprint(tmp_path) != before


def test_a_fingerprint_is_of_the_data_and_not_of_their_use(fashion, tmp_path):
    fashion()
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path, num_train=8, augment=True) == before
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "FashionMNIST").rename(moved / "FashionMNIST")
    assert fingerprint(moved) == before
    assert len(before) == 16
    assert int(before, 16) >= 0


# Images that are read from files


def folder(root, **more):
    own = ImageFolderConfig(size=8)
    return DataConfig(
        name="image_folder",
        root=str(root),
        batch_size=4,
        own=(("image_folder", own),),
        **more,
    )


def test_what_does_not_fit_is_read_anew_and_has_the_same_fingerprint(tmp_path, fresh):
    write_classes(tmp_path, num=10)
    held, anew = folder(tmp_path), folder(tmp_path, memory_share=0, workers=0)
    assert isinstance(load_dataset(held).train, Split)
    assert isinstance(load_dataset(anew).train, StreamedSplit)
    assert data_fingerprint(held) == data_fingerprint(anew)
    assert len(load_dataset(replace(anew, num_train=7)).train) == 7


def test_another_pixel_class_or_image_gives_a_folder_another_fingerprint(
    tmp_path, fresh
):
    def fingerprint():
        data._load.cache_clear()
        return data_fingerprint(folder(tmp_path))

    write_classes(tmp_path, num=10)
    found = [fingerprint()]
    (tmp_path / "ant" / "000.png").rename(tmp_path / "bee" / "100.png")
    found.append(fingerprint())
    (tmp_path / "bee" / "000.png").unlink()
    found.append(fingerprint())
    (tmp_path / "bee" / "100.png").write_bytes(content_of(picture(99)))
    found.append(fingerprint())
    (tmp_path / "bee").rename(tmp_path / "cow")
    found.append(fingerprint())
    assert len(set(found)) == 5


def test_what_is_wrong_with_a_folder_is_said_before_a_study(tmp_path, fresh):
    write_classes(tmp_path, num=10)
    anew = folder(tmp_path, memory_share=0, workers=0)
    fingerprints, missing = data_at_hand([anew])
    assert (list(fingerprints), missing) == (["image_folder"], [])
    # Behind the images that statistics are taken of, no trial has looked at it yet.
    load_dataset(anew)
    file = tmp_path / "bee" / "009.png"
    file.write_bytes(file.read_bytes()[:100])
    fingerprints, missing = data_at_hand([anew])
    assert fingerprints == {}
    assert len(missing) == 1
    assert f"but {file} is only a part of an image. Convert" in missing[0]
