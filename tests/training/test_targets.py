import os

import pytest

from orthotune.errors import TargetError
from orthotune.training.targets import check_target
from tests.users import OTHER, as_user, possible


def test_a_file_in_a_folder_that_is_there_is_accepted(tmp_path, monkeypatch):
    assert check_target(f"{tmp_path}/a.b.pt", [".svg", ".pt"]) == tmp_path / "a.b.pt"
    monkeypatch.chdir(tmp_path)
    assert str(check_target("net.pt", [".pt"])) == "net.pt"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_target("~/net.pt", [".pt"]) == tmp_path / "net.pt"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "net.onnx",
            r"net\.onnx must be a file whose name ends in \.pt or \.svg, but e",
        ),
        (
            "net",
            r"net must be a file whose name ends in .* but ends in nothing\. Name i",
        ),
        ("", r"must be a file whose name ends in"),
        (
            "none/net.pt",
            r"none/net\.pt must be in a folder that can be written to, but",
        ),
        (
            "file/net.pt",
            r"file/net\.pt must be in a folder that can be written to, but",
        ),
        ("folder.pt", r"folder\.pt must be a file, but is a folder\. Name another\.$"),
    ],
)
def test_what_could_not_be_written_is_refused(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(TargetError, match=message):
        check_target(name, [".pt", ".svg"])
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.pt"]


@pytest.mark.soak
@pytest.mark.skipif(not possible(), reason="cannot be another user")
def test_a_folder_of_somebody_else_is_refused(tmp_path):
    code = (
        "from orthotune.training.targets import check_target\n"
        "check_target('/net.pt', ['.pt'])"
    )
    done = as_user(OTHER, tmp_path, "python3", "-c", code)
    assert "must be in a folder that can be written to" in done.stderr
