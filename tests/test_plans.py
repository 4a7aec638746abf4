"""`--plan` makes nothing and changes nothing, on any disk."""

import os
import shutil
import struct

import pytest

from orthotune.cluster.footprint_cache import CACHE
from orthotune.study import plan
from orthotune.tracking.sqlite_uri import sqlite_uri
from tests.home import COMMANDS, Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("command", COMMANDS)
def test_a_plan_where_nothing_is_yet(command, home):
    code, out, err = home.plan(command)
    assert (code, err) == (0, "")
    assert "time       about " in out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_plan_where_a_study_has_been(command, home, reference):
    """Its name is another's, but all that a study leaves is there."""
    shutil.copytree(reference.study, home.folder / "storage" / "tiny")
    (home.folder / "storage" / CACHE).write_text("{}")
    store = home.folder / "elsewhere?" / "mlflow.db"
    store.parent.mkdir()
    shutil.copy(reference.folder / "mlflow.db", store)
    code, out, err = home.plan(command, "--tracking-uri", sqlite_uri(store))
    assert (code, err) == (0, "")
    done = "8 of 4 to run" if command == "search" else "0 of them"
    assert f"done       {done}" in out


@pytest.mark.parametrize(
    "command", ["ablate", pytest.param("search", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize(
    ("name", "download"),
    [
        ("fashion_mnist", True),
        pytest.param("cifar10", False, marks=pytest.mark.soak),
    ],
)
def test_a_plan_without_the_data_says_what_is_not_known(command, name, download, home):
    code, out, err = home.plan(command, *home.data(name, download))
    assert (code, err) == (0, "")
    missing = "data       missing: `data.root` must hold "
    if download:
        root = home.folder / "data"
        missing = f"data       missing: {name} is not whole in {root}; a run downloads"
    assert missing in out
    assert "time       not known: the data are missing\n" in out
    assert "model.depth = 8" in out


def test_a_plan_with_broken_data_says_which(home):
    raw = home.folder / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for name in ("images-idx3", "labels-idx1"):
            (raw / f"{part}-{name}-ubyte").write_text("<html>login</html>")
    code, out, err = home.plan("ablate", *home.data("fashion_mnist", False))
    assert (code, err) == (0, "")
    assert f"{raw}/train-images-idx3-ubyte is a web page. Set `data.download`" in out


@pytest.mark.soak
def test_a_plan_reads_data_that_are_there(home):
    raw = home.folder / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, num in (("train", 600), ("t10k", 5)):
        images, labels = bytes(num * 64), bytes(k % 10 for k in range(num))
        header = struct.pack(">HBBIII", 0, 8, 3, num, 8, 8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images)
        header = struct.pack(">HBBI", 0, 8, 1, num)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels)
    code, out, err = home.plan("search", *home.data("fashion_mnist", True))
    assert (code, err) == (0, "")
    assert "time       about " in out


@pytest.mark.soak
def test_more_images_than_there_are_are_refused_by_a_plan_too(home):
    code, out, err = home.plan("ablate", "--set=data.num_train=5000")
    assert (code, out) == (2, "")
    assert err.startswith("orthotune: `data.num_train` must be at most 1400, the trai")


@pytest.mark.soak
def test_a_plan_keeps_nothing_that_it_has_compiled(home):
    code, out, _ = home.plan("search", "--set=training.compile=true")
    assert code == 0
    assert "time       about " in out


def test_what_a_plan_compiles_goes_away(monkeypatch):
    for before in (None, "mine"):
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        if before is not None:
            monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", before)
        with plan.without_caches():
            folder = os.environ["TORCHINDUCTOR_CACHE_DIR"]
            assert os.listdir(folder) == []
        assert not os.path.exists(folder)
        assert os.environ.get("TORCHINDUCTOR_CACHE_DIR") == before
