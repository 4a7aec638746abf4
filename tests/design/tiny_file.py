"""A tiny ablation file, changed and read, and the sentence for one that is wrong."""

import pytest

from orthotune.design.ablation_file import read_ablation
from orthotune.errors import AblationError
from tests.ablation.small import TINY


def read(tmp_path, text, **overrides):
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    return read_ablation(str(path), overrides)


def changed(old, new):
    assert old in TINY
    return TINY.replace(old, new)


def check_wrong(tmp_path, text, expected):
    with pytest.raises(AblationError) as caught:
        read(tmp_path, text)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "tiny.yaml") + ":")
