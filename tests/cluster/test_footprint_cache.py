import pytest
import torch

from orthotune.cluster.footprint_cache import CACHE, FootprintCache
from tests.cluster.footprints import footprint


def test_what_was_measured_is_kept_beside_what_is_there(tmp_path, monkeypatch):
    cache = FootprintCache(str(tmp_path))
    assert cache.read() == {}
    cache.add({"H100": {"a": footprint(1)}})
    cache.add({"H100": {"b": footprint(2)}, "L4": {"a": footprint(3)}})
    both = {
        "H100": {"a": footprint(1), "b": footprint(2)},
        "L4": {"a": footprint(3)},
    }
    assert cache.read() == both
    ours = torch.__version__
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert cache.read() == {}  # of another torch
    cache.add({"L4": {"a": footprint(4)}})
    monkeypatch.setattr(torch, "__version__", ours)
    assert cache.read() == both


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"VERSION": 3}', '{"VERSION": {"H100": {"a": {"busy": 1}}}}'],
)
def test_a_cache_that_cannot_be_read_is_as_good_as_none(tmp_path, content):
    path = tmp_path / CACHE
    path.write_text(content.replace("VERSION", torch.__version__))
    cache = FootprintCache(str(tmp_path))
    assert cache.read() == {}
    cache.add({"H100": {"a": footprint()}})
    assert cache.read() == {"H100": {"a": footprint()}}


def test_a_cache_that_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    cache = FootprintCache(str(tmp_path / "file"))
    cache.add({"H100": {"a": footprint()}})
    assert cache.read() == {}
