import os

import pytest

from orthotune.storage.folder import StorageFolder, absolute, joined


@pytest.fixture(params=["path", "uri"])
def folder(request, tmp_path):
    place = tmp_path / "new" / "checkpoints"
    return StorageFolder(str(place) if request.param == "path" else place.as_uri())


def test_a_folder_that_is_not_there_holds_nothing_and_can_be_cleared(folder):
    assert folder.names() == []
    assert folder.read("a") is None
    folder.delete("a")
    folder.clear()


def test_a_file_is_replaced_whole(tmp_path):
    folder = StorageFolder(str(tmp_path))
    folder.write("a", b"a long content")
    folder.write("a", b"short")
    assert folder.read("a") == b"short"
    assert os.listdir(tmp_path) == ["a"]  # nothing unfinished beside it


def test_clearing_removes_the_folder_and_nothing_beside_it(tmp_path):
    (tmp_path / "beside").touch()
    folder = StorageFolder((tmp_path / "in").as_uri())
    (tmp_path / "in").mkdir()
    folder.write("a", b"content")
    assert folder.names() == ["a"]
    folder.clear()
    assert os.listdir(tmp_path) == ["beside"]


def test_a_relative_path_is_of_the_folder_it_is_named_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("studies")
    assert absolute("studies") == str(tmp_path / "studies")
    assert absolute("link") == str(tmp_path / "studies")
    assert absolute("s3://bucket/studies") == "s3://bucket/studies"


def test_the_secrets_of_a_uri_are_not_in_the_name_of_a_file():
    uri = "s3://key:secret@bucket/studies?region=eu"
    assert joined(uri, "a") == "s3://key:secret@bucket/studies/a?region=eu"
    assert "secret" not in StorageFolder(uri).place("a")
