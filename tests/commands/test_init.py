"""`orthotune init`: the shipped files, and never over what is there."""

from pathlib import Path

from orthotune.__main__ import main
from orthotune.shipped import shipped_files

ROOT = Path(__file__).parents[2]


def test_every_file_of_the_checkout_is_written(tmp_path, capsys):
    assert main(["init", str(tmp_path)]) == 0
    for folder in ("search_spaces", "ablations"):
        ours = {path.name: path.read_text() for path in (ROOT / folder).glob("*.yaml")}
        there = {p.name: p.read_text() for p in (tmp_path / folder).iterdir()}
        assert there == ours
        assert ours
    assert len(capsys.readouterr().out.splitlines()) == len(shipped_files())


def test_what_is_there_stays_and_what_is_missing_comes(tmp_path, capsys):
    assert main(["init", str(tmp_path)]) == 0
    capsys.readouterr()
    mine, gone = (
        tmp_path / "search_spaces" / f"{n}.yaml" for n in ("depth", "penalty")
    )
    mine.write_text("mine")
    gone.unlink()
    assert main(["init", str(tmp_path)]) == 0
    assert mine.read_text() == "mine"
    printed = capsys.readouterr()
    assert printed.out == f"{gone}\n"
    assert printed.err == f"orthotune: left as it is: {mine}\n"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["init", str(tmp_path / "file")]) == 2
    assert "FOLDER must be a folder that can be written to" in capsys.readouterr().err
