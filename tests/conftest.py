"""Fixtures that several rooms share."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from orthotune.study.study_file import read_study
from tests.plugins import plugin  # noqa: F401 - a fixture
from tests.studies import TINY


def pytest_configure():
    # Ray's workers have niceness 15: beside two tests that compute they get a twentieth
    # of a core each, and what takes 33 s takes 203.
    os.environ.setdefault("RAY_worker_niceness", "0")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        # Short, as Ray makes sockets there; its own would outlast the tests.
        os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="rt-", dir="/tmp")


def pytest_unconfigure():
    if "PYTEST_XDIST_WORKER" not in os.environ:
        from orthotune.storage.scratch import remove_dead

        shutil.rmtree(os.environ["RAY_TMPDIR"], ignore_errors=True)
        remove_dead(Path(tempfile.gettempdir()))  # of processes that tests have killed


def pytest_collection_modifyitems(items):
    """Files that start a Ray first: the longest must not be the last to begin."""
    files = {item.path for item in items if item.get_closest_marker("ray")}
    items.sort(key=lambda item: item.path not in files)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def one_thread():
    """What the tests themselves compute must not fight for cores either."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def double():
    """Float64 as the default dtype, for comparisons of formulas."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The study that nobody disturbs; run once, for all processes that test."""
    from tests.crashes import Workplace  # most tests here need no MLflow

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    work = Workplace(folder / "reference")
    with FileLock(folder / "reference.lock"):
        if not (work.folder / "studies" / "killed" / "best.yaml").exists():
            work.finish(limit=1)
    return work


@pytest.fixture
def open_folder():
    """A folder that every user may write to; not `tmp_path`, which is this user's."""
    from tests import users  # it asks for seconds whether there can be others

    if not users.possible():
        pytest.skip("only root can be another user, by setpriv")
    folder = Path(tempfile.mkdtemp(prefix="orthotune-users-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def tiny_file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def tiny_study(tiny_file):
    return read_study(str(tiny_file))


@pytest.fixture
def path(tmp_path):
    """Where a study's event log goes."""
    return tmp_path / "record.jsonl"


@pytest.fixture
def session(tiny_study, path):
    """A study's own parts, and what Ray asks of them."""
    from tests.ray_part import Session  # most tests here need no Ray

    return Session(tiny_study, path)
