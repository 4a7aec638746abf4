"""How a study is found or begun, and what is refused before."""

import contextlib
import os
from urllib.parse import quote

import pytest

from orthotune.errors import StudyError
from orthotune.record.identity import definition
from orthotune.study.record_opening import (
    RecordOpening,
    check_storage,
    record_to_read,
    study_folder,
)


def reading(folder, storage):
    with record_to_read("digits", storage):
        pass


@pytest.mark.parametrize("look", [reading, check_storage])
@pytest.mark.parametrize("storage", ["s3://b/p?bad=1", "s3://AK:se/cret@b/p", "x://b"])
def test_a_uri_that_cannot_be_opened_is_refused(look, storage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        StudyError, match=r"URI that can be opened, but got '"
    ) as caught:
        look(tmp_path / "digits", storage)
    assert "cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def session(study, storage, begin=None):
    """The id of the study in a storage, if there is one; or else begin it."""
    with contextlib.ExitStack() as stack:
        asked = definition(study, {"synthetic": "0"})
        opening = RecordOpening(study, storage, asked, stack, pytest.fail)
        log = opening.continued()
        if log is None and begin is not None:
            opening.begun(begin)
        return None if log is None else log.header["id"]


def test_studies_of_one_name_in_several_storages_are_several(
    tiny_study, tmp_path, monkeypatch
):
    """As of a file that runs on a laptop first, and then on a cluster."""
    monkeypatch.chdir(tmp_path)
    locations = [
        "studies",
        f"file://{tmp_path}/a",
        f"file://{tmp_path}/b?x=1",
        "shared",
    ]
    for name, place in zip("1234", locations, strict=True):
        assert session(tiny_study, place, begin=name) is None
    assert [session(tiny_study, place) for place in locations] == list("1234")


def test_a_study_that_could_not_begin_leaves_no_folder(
    tiny_study, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with contextlib.ExitStack() as stack:
        storage = f"file://{tmp_path}/a/b"
        asked = definition(tiny_study, {"synthetic": "0"})
        opening = RecordOpening(tiny_study, storage, asked, stack, pytest.fail)
        assert opening.continued() is None
        opening.begun("id")
        opening.undo()
    assert [p for p in sorted(tmp_path.rglob("*")) if "studies" in p.parts] == []
    assert len(before) == 1


def test_a_storage_is_known_again_with_other_keys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = [
        study_folder("wide", uri)
        for uri in (
            "s3://bucket/studies?region=eu-west-1",
            "s3://key:secret@bucket/studies?region=eu-west-1",
            "s3://other:one@bucket/studies?region=eu-west-1",
        )
    ]
    assert len(set(again)) == 1
    assert study_folder("wide", "s3://bucket/studies?region=eu-west-2") != again[0]
    assert "bucket-studies" in again[0].parts[-2]


def test_containers_of_one_account_are_several_storages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, theirs = (
        study_folder("wide", f"abfss://{name}@account.dfs.core.windows.net/studies")
        for name in ("ours", "theirs")
    )
    assert ours != theirs


def test_a_folder_to_start_in_that_is_none_is_not_called_the_storage(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match=r"where it is started.* another one"):
        check_storage(tmp_path / "file" / "digits", f"file://{tmp_path}/there")


@pytest.mark.parametrize("name", ["runs?v2", "a#b", "runs?v2/studies", "a?x=1/b#c"])
def test_a_uri_that_is_cut_where_a_name_goes_on_is_refused(name, tmp_path, monkeypatch):
    """What is behind the sign is none of the path: the study would be elsewhere."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"\? and # of a name are written %3F and %23"):
        check_storage(tmp_path / "digits", f"file://{tmp_path}/{name}")
    check_storage(tmp_path / "digits", f"file://{tmp_path}/{quote(name)}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["runs?v2", "a#b", "50%20dropout", "a+b&c=1", "dätä"])
@pytest.mark.parametrize("as_uri", [False, True])
def test_a_storage_is_the_folder_of_that_name(
    name, as_uri, tiny_study, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "there" / name
    storage = place.as_uri() if as_uri else str(place)
    assert session(tiny_study, storage, begin="1") is None
    assert session(tiny_study, storage) == "1"
    assert os.listdir(tmp_path / "there") == [name]
    assert os.listdir(place) == ["tiny"]
