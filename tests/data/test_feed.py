import functools
import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from orthotune.data.feed import Feed
from orthotune.readers.image_files import ImageFiles
from orthotune.readers.settings import FramingConfig
from tests.data.small_images import refused, write_classes

ORDER = [[3, 1], [4, 1, 5], [0], [2, 6]]


def images(tmp_path):
    write_classes(tmp_path, ("ant",), num=7)
    names = [f"ant/{number:03}.png" for number in range(7)]
    return ImageFiles(tmp_path, names, FramingConfig(size=8))


def children():
    """The processes of this one that are not zombies."""
    me, found = os.getpid(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == me and fields[0] != "Z":
            found.append(int(folder.name))
    return set(found)


def test_batches_are_the_images_asked_for_in_order_again_and_again(tmp_path):
    lazy = images(tmp_path)
    feed = Feed(lazy, workers=0)
    expected = np.stack([lazy.read(number) for number in range(7)])
    for order in (ORDER, ORDER[::-1], []):
        found = list(feed.batches(order))
        assert len(found) == len(order)
        for batch, rows in zip(found, order, strict=True):
            assert batch.dtype == torch.uint8
            assert np.array_equal(batch.numpy(), expected[rows])
    assert np.array_equal(feed.read(torch.tensor([6, 0])).numpy(), expected[[6, 0]])


def test_processes_that_read_give_the_same_and_end_with_the_feed(tmp_path):
    lazy, before = images(tmp_path), children()
    torch.manual_seed(0)
    state, main = torch.get_rng_state(), sys.modules["__main__"]
    feed = Feed(lazy, workers=1)
    assert children() == before
    here = [batch.numpy() for batch in Feed(lazy, workers=0).batches(ORDER)]
    left = feed.batches(ORDER)
    assert np.array_equal(next(left).numpy(), here[0])
    first = children()
    assert first > before
    left.close()  # as where training stops in the middle of an epoch
    there = [batch.numpy() for batch in feed.batches(ORDER)]
    assert all(map(np.array_equal, there, here))
    assert children() == first
    (tmp_path / "ant" / "004.png").write_bytes(b"")
    message = refused(functools.partial(read_all, feed))
    assert f"but {tmp_path}/ant/004.png is empty." in message
    assert torch.equal(torch.get_rng_state(), state)
    assert sys.modules["__main__"] is main
    del feed, left
    gc.collect()
    assert len(children() - before) <= 1  # Python's own tracker of resources


def read_all(feed):
    return list(feed.batches(ORDER))


SCRIPT = """\
import os, signal, sys
from pathlib import Path
from multiprocessing import active_children

import torch
from orthotune.data.feed import Feed
from orthotune.readers.settings import FramingConfig
from orthotune.readers.image_files import ImageFiles

names = [f"ant/{number:03}.png" for number in range(7)]
feed = Feed(ImageFiles(Path(sys.argv[1]), names, FramingConfig(size=8)), workers=1)
next(feed.batches([[0, 1], [2, 3]]))
print("pids", *(child.pid for child in active_children()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.soak
def test_who_reads_for_a_process_that_is_killed_ends(tmp_path):
    """In a script that does not guard its last lines."""
    images(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    words = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -9
    word, *pids = done.stdout.split()
    assert (word, len(pids)) == ("pids", 1)
    end = time.monotonic() + 60
    while Path("/proc", pids[0]).exists() and time.monotonic() < end:
        time.sleep(0.2)
    assert not Path("/proc", pids[0]).exists()
