"""A search, trials of it as a journal holds them, and a parameter to draw."""

from orthotune.record.trial_record import Status
from orthotune.space.parameters import FloatParameter
from orthotune.study.study_file import read_study
from tests.made_records import record

LR = FloatParameter(name="optimizer.lr", low=1e-3, high=1e-1, log=True)

SPACE = """\
name: searched
search: {num_trials: 40, max_epochs: 3, seed: 5}
fixed: {model.depth: 8}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1, log: true}
  optimizer.momentum: {type: float, low: 0, high: 0.9}
  regularizer.kind: {type: categorical, choices: [orthonormal, none]}
  regularizer.coeff:
    {type: float, low: 1e-4, high: 1, log: true, when: {regularizer.kind: orthonormal}}
"""


def study_of(tmp_path, text):
    path = tmp_path / "searched.yaml"
    path.write_text(text)
    return read_study(str(path))


def ended(number, status=Status.FINISHED, errors=(0.9, 0.5, 0.4), **fields):
    middle = {"optimizer.lr": 0.03, "optimizer.momentum": 0.5}
    return record(number, list(errors), status, **{**middle, **fields})
