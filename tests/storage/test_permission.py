"""What is another's stays as it is, and its owner's: by two users who are not root."""

import os
import sys
from pathlib import Path

import pytest

from orthotune.errors import StudyError
from orthotune.storage.permission import trouble_with
from orthotune.study.record_opening import check_storage
from orthotune.tracking.sqlite_store import prepare_sqlite
from orthotune.tracking.tracking_uri import check_store
from tests.files import everything
from tests.said import refusal
from tests.studies import TINY
from tests.users import OTHER, OWNER, as_user

WRITE = """\
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
store.execute("UPDATE experiments SET last_update_time = last_update_time")
store.commit()
"""


def give(folder, mode, *names):
    """Let files belong to the owner, and others do with them what a mode says."""
    for name in names:
        os.chown(folder / name, OWNER, OWNER)
        (folder / name).chmod(mode)


def search(folder, *arguments):
    """A study of a user who does not own what is there."""
    words = ["-m", "orthotune.search", "tiny.yaml", *arguments]
    return as_user(OTHER, folder, sys.executable, *words, cwd=folder)


@pytest.fixture
def store(open_folder):
    """A colleague's store, in a folder that both may write to."""
    (open_folder / "tiny.yaml").write_text(TINY)
    prepare_sqlite(open_folder / "mlflow.db")
    give(open_folder, 0o644, "mlflow.db")
    return open_folder / "mlflow.db"


def owner_writes(store):
    done = as_user(OWNER, store.parent, sys.executable, "-c", WRITE, str(store))
    return done.returncode == 0, done.stderr


def test_the_store_of_another_is_not_opened(store):
    before = everything(store.parent)
    done = search(store.parent, "--tracking-uri", f"sqlite:///{store}")
    assert done.returncode == 2, done.stderr
    assert refusal(done.stderr) == (
        "orthotune: --tracking-uri must be a file that can be written to, in such a "
        f"folder, but {store} may not be read and written. Choose another one, or a "
        "server."
    )
    assert everything(store.parent) == before
    assert owner_writes(store) == (True, "")


@pytest.mark.parametrize(
    "own", ["mlflow.db-wal", pytest.param("mlflow.db-shm", marks=pytest.mark.soak)]
)
def test_a_store_that_its_owner_has_open_is_not_opened(own, store):
    store.chmod(0o666)  # but what SQLite keeps beside it was made when it was not
    (store.parent / own).touch()
    give(store.parent, 0o644, own)
    before = everything(store.parent)
    done = search(store.parent, "--tracking-uri", f"sqlite:///{store}")
    assert done.returncode == 2, done.stderr
    assert f"but {store.parent / own} may not be read and written" in done.stderr
    assert everything(store.parent) == before


@pytest.mark.parametrize(
    "closed",
    [
        "tiny/record.jsonl",
        pytest.param("tiny", marks=pytest.mark.soak),
        pytest.param("tiny/lock", marks=pytest.mark.soak),
        pytest.param("tiny/checkpoints/abc", marks=pytest.mark.soak),
    ],
)
def test_the_study_of_another_is_not_opened(closed, open_folder):
    (open_folder / "tiny.yaml").write_text(TINY)
    studies = open_folder / "studies"
    (studies / "tiny" / "checkpoints" / "abc").mkdir(parents=True)
    (studies / "tiny" / "record.jsonl").touch()
    if closed == "tiny/lock":
        (studies / closed).touch()
    for path in (studies, *studies.rglob("*")):
        give(path, 0o777 if path.is_dir() else 0o666, "")
    place = studies / closed
    give(place, 0o755 if place.is_dir() else 0o644, "")
    before = everything(open_folder)
    done = search(open_folder)
    assert done.returncode == 2, done.stderr
    assert refusal(done.stderr) == (
        "orthotune: --storage must be a folder that can be written to, but "
        f"{place} may not be read and written. Choose another one."
    )
    assert everything(open_folder) == before


def test_the_place_of_anothers_reports_is_not_written_to(open_folder):
    (open_folder / "tiny.yaml").write_text(TINY)
    (open_folder / "mlartifacts").mkdir()
    give(open_folder, 0o755, "mlartifacts")
    before = everything(open_folder)
    done = search(open_folder)
    assert done.returncode == 2, done.stderr
    assert "mlartifacts may not be read and written. Choose another" in done.stderr
    assert everything(open_folder) == before


def strange(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nothing").symlink_to("nowhere")
    return tmp_path


STRANGE = {  # a name; what is said of it as a folder, and as a file
    "new/below": ("", ""),
    "folder": ("", "folder is no file"),
    "file": ("file is no folder", ""),
    "file/below": ("file is no folder", "file is no folder"),
    "loop": ("loop cannot be used (Too many levels of symbolic links)",) * 2,
    "loop/below": ("loop/below cannot be used (Too many levels of symbolic links)",)
    * 2,
    "nothing": ("nothing is a link to what is not there",) * 2,
    "x" * 300: (f"{'x' * 300} cannot be used (File name too long)",) * 2,
    "/dev/null": ("/dev/null is no folder", "/dev/null is no file"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_can_be_no_file_or_folder_is_said_to_be_none(name, tmp_path):
    path = strange(tmp_path) / name
    for folder, problem in zip((True, False), STRANGE[name], strict=True):
        expected = problem and str(Path(tmp_path, problem))
        assert trouble_with(path, folder=folder) == expected


@pytest.mark.parametrize("name", [n for n, (folder, _) in STRANGE.items() if folder])
def test_a_storage_that_can_be_none_is_refused_at_once(name, tmp_path):
    place = strange(tmp_path) / name
    with pytest.raises(StudyError, match="--storage must be a folder that can be wri"):
        check_storage(place / "tiny", str(place))


@pytest.mark.parametrize("name", [n for n, (_, file) in STRANGE.items() if file])
def test_a_store_that_can_be_none_is_refused_at_once(name, tmp_path):
    place = strange(tmp_path) / name
    with pytest.raises(
        StudyError, match=r"--tracking-uri must be a file .* written to"
    ):
        check_store(f"sqlite:///{place}")
