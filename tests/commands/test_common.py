import pytest

from orthotune.commands.common import parse_settings, run
from orthotune.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    FileError,
    OrthotuneError,
    SearchSpaceError,
    StudyError,
)


def test_settings_are_read_as_in_a_file():
    settings = [
        "optimizer.lr=1e-3",
        "model.depth=44",
        "data.augment=true",
        "data.num_train=null",
        "data.root=/a=b",
        "model.widths=[4, 8, 16]",
        "training.precision=on",
        "init.scheme=",
    ]
    assert parse_settings(settings) == {
        "optimizer.lr": 0.001,
        "model.depth": 44,
        "data.augment": True,
        "data.num_train": None,
        "data.root": "/a=b",
        "model.widths": [4, 8, 16],
        "training.precision": "on",
        "init.scheme": None,
    }
    assert parse_settings([]) == {}


def test_the_last_setting_of_a_key_counts():
    assert parse_settings(["seed=1", " seed =2"]) == {"seed": 2}


@pytest.mark.parametrize("setting", ["model.depth", "=44", "", "model.depth:44"])
def test_a_setting_without_key_or_value_is_refused(setting):
    with pytest.raises(FileError) as caught:
        parse_settings(["seed=1", setting])
    assert str(caught.value) == (
        f"--set: must be KEY=VALUE, but got {setting!r}. "
        "For example: --set model.depth=44"
    )


@pytest.mark.parametrize("text", ["[1, 2", "a: b", "'x"])
def test_a_setting_that_is_no_yaml_is_refused(text):
    with pytest.raises(FileError) as caught:
        parse_settings([f"seed={text}"])
    assert str(caught.value) == f"--set: must hold one YAML value, but got {text!r}."


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_commands_own(code, capsys):
    assert run(lambda: code) == code
    assert capsys.readouterr() == ("", "")


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("seed", "must be even."), 2, "orthotune: `seed` must be even.\n"),
        (FileError("a.yaml:1: no."), 2, "orthotune: a.yaml:1: no.\n"),
        (SearchSpaceError("a.yaml:1: no."), 2, "orthotune: a.yaml:1: no.\n"),
        (DataError("none."), 2, "orthotune: none.\n"),
        (StudyError("none."), 2, "orthotune: none.\n"),
        (OrthotuneError("none."), 2, "orthotune: none.\n"),
        (CheckpointError("broken."), 2, "orthotune: broken.\n"),
        (KeyboardInterrupt(), 130, "orthotune: interrupted.\n"),
    ],
)
def test_an_error_made_for_people_is_one_line_and_an_exit_code(
    error, code, line, capsys
):
    assert run(raising(error)) == code
    assert capsys.readouterr() == ("", line)


def test_no_error_shows_a_password(capsys):
    assert run(raising(StudyError("s3://AK:se/cret@b: none."))) == 2
    assert capsys.readouterr().err == "orthotune: s3://AK:HIDDEN@b: none.\n"


@pytest.mark.parametrize("error", [ValueError("bug"), RuntimeError("bug")])
def test_a_bug_is_not_hidden(error):
    with pytest.raises(type(error), match="bug"):
        run(raising(error))
