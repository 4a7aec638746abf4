"""Who may write to a study's storage: one process, and who takes its place."""

import subprocess
import sys
import time

import pytest

from orthotune.errors import StudyError
from orthotune.storage import lease
from orthotune.storage.folder import StorageFolder
from orthotune.storage.lease import Lease
from tests.crashes import ended


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lease, "SILENT_S", 0.4)
    monkeypatch.setattr(lease, "SETTLE_S", 0.05)


@pytest.fixture
def storage(tmp_path):
    return (tmp_path / "storage").as_uri()


def test_a_process_that_died_on_this_machine_is_not_waited_for(
    tmp_path, storage, monkeypatch
):
    child = (
        "import sys\n"
        "from orthotune.storage.lease import Lease\n"
        "from orthotune.storage.folder import StorageFolder\n"
        "Lease(StorageFolder(sys.argv[1])).acquire()\n"
    )
    subprocess.run([sys.executable, "-c", child, storage], check=True)
    monkeypatch.setattr(lease, "SILENT_S", 1e9)
    Lease(StorageFolder(storage)).acquire()


TAKE = """\
import sys, threading
from orthotune.errors import StudyError
from orthotune.storage import lease
from orthotune.storage.folder import StorageFolder
lease.SILENT_S, lease.SETTLE_S = 2.0, 0.5
mine = lease.Lease(StorageFolder(sys.argv[1]))
sys.stdin.readline()
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
try:
    mine.acquire()
    print("taken", flush=True)
    while not stop.wait(0.2):
        mine.renew()
except StudyError:  # also who was held up and came too late to be one of two
    print("refused", flush=True)
"""


@pytest.mark.parametrize("held", [True, False])
def test_of_many_that_take_a_lease_at_once_one_has_it(storage, held):
    if held:
        Lease(StorageFolder(storage)).acquire()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE, storage],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    while sum(child.poll() is None for child in children) > 1:
        time.sleep(0.01)
    said = [ended(child)[0].split()[-1] for child in children]  # and stdin is closed
    assert sorted(said) == ["refused", "refused", "refused", "taken"]


def test_a_process_of_another_container_is_watched(tmp_path, storage, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(lease, "_machine", lambda: "another container")
        patch.setattr(lease.os, "getpid", lambda: 2**22 + 1)  # nobody's here
        Lease(StorageFolder(storage)).acquire()
    beats = iter(range(10**6))

    def alive():
        content = {"id": "its", "beat": next(beats), "machine": "another container"}
        return {**content, "host": lease.socket.gethostname(), "pid": 2**22 + 1}

    mine = Lease(StorageFolder(storage))
    monkeypatch.setattr(mine, "_read", alive)
    with pytest.raises(StudyError, match="Only one process may run a study"):
        mine.acquire()
