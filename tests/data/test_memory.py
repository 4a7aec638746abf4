import pytest
import torch

from orthotune.data import memory

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("limit", "taken", "free"),
    [
        ("5000", "2000", 3000),
        ("1000", "2000", 0),
        ("max", "2000", 9000),
        (None, "", 9000),
    ],
)
def test_a_containers_limit_counts(limit, taken, free, tmp_path, monkeypatch):
    paths = tmp_path / "max", tmp_path / "current"
    if limit is not None:
        for path, text in zip(paths, (limit, taken), strict=True):
            path.write_text(f"{text}\n")
    monkeypatch.setattr(memory, "GROUPS", [paths])
    monkeypatch.setattr(memory, "_available", lambda: 9000)
    assert memory.free_bytes(CPU) == free


def test_no_more_is_free_than_there_is():
    pages = memory.os.sysconf("SC_PHYS_PAGES") * memory.os.sysconf("SC_PAGE_SIZE")
    assert 0 < memory.free_bytes(CPU) <= pages
