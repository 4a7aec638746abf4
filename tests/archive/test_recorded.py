"""A search is asked again as its record has it, without its file."""

import shutil
from pathlib import Path

import pytest

from orthotune.archive.loaded import load_study
from orthotune.archive.recorded import recorded_study
from orthotune.errors import SearchSpaceError, StudyError
from orthotune.record.identity import definition, differences, fingerprints_in
from orthotune.study.study_file import read_study
from tests.made_studies import begun, ran
from tests.studies import PBT

OLD = Path(__file__).parents[1] / "records" / "2026-11"
SPACE = """\
name: odd
metric: val_loss
search: {num_trials: 9, max_epochs: 2, searcher: random, seed: 3}
fixed: {data.name: synthetic, data.root: elsewhere, model.widths: [4, 8, 8]}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1, log: true}
  optimizer.momentum: {type: float, low: 0, high: 0.9, step: 0.3}
  regularizer.kind: {type: categorical, choices: [orthonormal, l2, none]}
  regularizer.coeff:
    {type: float, low: 0, high: 1, when: {regularizer.kind: [l2, orthonormal]}}
  size:
    type: joint
    choices:
      - {model.depth: 8, data.batch_size: 64}
      - {model.depth: 14, data.batch_size: 32}
  modulation.threshold: {type: float, low: 0, high: 1, when: {model.depth: {low: 9}}}
constraints: [optimizer.lr * model.depth <= 10]
"""


def again(found, study):
    """What differs between what is asked now and what the record says."""
    asked = definition(study, fingerprints_in(found.definition))
    return differences(asked, found.definition)


def test_every_kind_of_parameter_is_asked_as_it_was(tmp_path):
    (tmp_path / "odd.yaml").write_text(SPACE)
    study = read_study(str(tmp_path / "odd.yaml"))
    journal = begun(study, tmp_path)
    size = {"model.depth": 8, "data.batch_size": 64, "regularizer.kind": "none"}
    ran(journal, study.trial_fields({"optimizer.lr": 0.1, **size}), [0.5, 0.4])
    found, now = recorded_study("odd", str(tmp_path))
    assert again(found, now) == []
    assert now.space == study.space
    assert now.searched
    assert now.settings.search.num_trials == 1
    assert now.settings.search.confirm.top == 3


@pytest.mark.parametrize(
    ("name", "confirm"), [("search", (3, 3)), ("population", (3, 1))]
)
def test_a_record_of_older_code_can_be_confirmed(name, confirm):
    found, study = recorded_study(str(OLD / name), "studies")
    assert again(found, study) == []
    asked = study.settings.search.confirm
    assert (asked.top, asked.seeds) == confirm


def test_a_population_is_asked_as_it_was_however_few_its_members_are(tmp_path):
    (tmp_path / "pbt.yaml").write_text(PBT)
    study = read_study(str(tmp_path / "pbt.yaml"))
    journal = begun(study, tmp_path)
    varied = {parameter.name: 0.1 for parameter in study.space.parameters}
    ran(journal, study.trial_fields(varied), [0.5])
    found, now = recorded_study(study.settings.name, str(tmp_path))
    assert again(found, now) == []


def test_what_was_begun_is_the_default_and_the_least(tmp_path):
    shutil.copytree(OLD / "search", tmp_path / "search")
    _, study = recorded_study("search", str(tmp_path), top=2, seeds=5)
    asked = study.settings.search.confirm
    assert (asked.top, asked.seeds) == (2, 5)


def test_what_no_result_depends_on_may_be_set_and_nothing_else_goes_on():
    where = {"resources.gpus": "auto", "data.root": "there"}
    found, study = recorded_study(str(OLD / "search"), "studies", overrides=where)
    assert study.settings.resources.gpus == "auto"
    assert study.space.fixed["data.root"] == "there"
    assert again(found, study) == []
    other = {"optimizer.momentum": 0.5}
    _, study = recorded_study(str(OLD / "search"), "studies", overrides=other)
    assert again(found, study)  # which is refused


def test_what_cannot_be_confirmed_is_refused():
    with pytest.raises(
        StudyError, match=r"must be a search to be confirmed, but is an"
    ):
        recorded_study(str(OLD / "ablation"), "studies")
    with pytest.raises(StudyError, match=r"must be the folder of a study"):
        recorded_study("nothing", "studies")
    with pytest.raises(
        SearchSpaceError, match=r"`search\.confirm\.seeds` must be .* 0"
    ):
        recorded_study(str(OLD / "search"), "studies", seeds=0)
    assert not load_study(OLD / "search").confirmed
