"""Studies small enough to run in a test."""

import pytest

from orthotune.tuning.study_file import read_study

TINY = """\
name: tiny
search: {num_trials: 4, max_epochs: 3, grace_epochs: 1, seed: 1}
fixed:
  model.depth: 8
  data.name: synthetic
  data.num_train: 128
  data.batch_size: 64
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  regularizer.kind: {type: categorical, choices: [orthonormal, l2, none]}
  regularizer.coeff:
    {type: float, low: 1e-4, high: 1, log: true, when: {regularizer.kind: orthonormal}}
  model.widths: {type: categorical, choices: [[4, 4, 4], [4, 8, 8]]}
"""


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
    from tests.tuning.ray_part import Session  # most tests here need no Ray

    return Session(tiny_study, path)
