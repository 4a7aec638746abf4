"""The files that travel with the package are those of the checkout."""

import os
from pathlib import Path

from orthotune.shipped import FOLDERS, found_file, shipped_files

ROOT = Path(__file__).parents[1]


def test_every_file_of_the_checkout_has_its_link_in_the_package():
    ours = [path for name in FOLDERS for path in sorted((ROOT / name).glob("*.yaml"))]
    assert [os.path.realpath(path) for path in shipped_files()] == [
        os.path.realpath(path) for path in ours
    ]


def test_a_name_of_two_files_is_the_commands_own():
    names = {folder: found_file("depth", folder) for folder in FOLDERS}
    for folder, path in names.items():
        assert str(path).endswith(f"{folder}/depth.yaml")


def test_a_folder_before_the_name_says_which(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ablations/depth", "ablations/depth.yaml"):
        assert str(found_file(name)).endswith("shipped/ablations/depth.yaml")
    assert found_file("depth.yaml") == "depth.yaml"
