import json

import pytest
from ray.tune.search import Searcher

from orthotune.study.study_file import read_study
from orthotune.tune.sequence_searcher import sequence
from tests.ray_part import Session

SPACE = """\
search: {searcher: SEARCHER, max_epochs: 2, seed: 3}
space:
  model.depth: {type: int, low: 8, high: 20, step: 6}
  regularizer.kind: {type: categorical, choices: [none, l2]}
  regularizer.coeff:
    type: categorical
    choices: [1e-4, 1e-3]
    when: {regularizer.kind: l2}
  data.batch_size: {type: categorical, choices: [32, 64]}
constraints: ["model.depth * data.batch_size <= 1000"]
"""


def study_of(tmp_path, searcher):
    path = tmp_path / "study.yaml"
    path.write_text(SPACE.replace("SEARCHER", searcher))
    return read_study(str(path))


def taken(session, count):
    given = []
    while len(given) < count and (trial := session.start()) is not None:
        session.run(trial, [0.5, 0.4])
        given.append(trial.fields)
    return given


def test_a_grid_leaves_out_what_is_ruled_out_and_varies_the_last_first(tmp_path, path):
    study = study_of(tmp_path, "grid")
    given = taken(Session(study, path), 99)
    rows = [
        (f["model.depth"], f.get("regularizer.coeff"), f["data.batch_size"])
        for f in given
    ]
    expected = [
        (depth, coeff, batch)
        for depth in (8, 14, 20)
        for kind in ("none", "l2")
        for batch in (32, 64)
        for coeff in ((None,) if kind == "none" else (1e-4, 1e-3))
        if depth * batch <= 1000
    ]
    assert rows == expected
    assert study.settings.search.num_trials == len(expected) == 15


@pytest.mark.parametrize("searcher", ["grid", "qmc"])
def test_a_sequence_goes_on_after_any_break_as_without_it(tmp_path, path, searcher):
    study = study_of(tmp_path, searcher)
    whole = taken(Session(study, tmp_path / "whole.jsonl"), 15)
    found = []
    for _ in range(5):  # sessions
        found += taken(Session(study, path), 3)
    assert found == whole
    assert len({json.dumps(fields) for fields in found}) == 15
    session = Session(study, path)
    assert session.suggestion() == Searcher.FINISHED
    assert session.journal.exhausted


def test_trials_left_open_come_before_the_rest_of_the_sequence(tmp_path, path):
    study = study_of(tmp_path, "qmc")
    whole = taken(Session(study, tmp_path / "whole.jsonl"), 6)
    first = Session(study, path)
    opened = [first.start().fields for _ in range(3)]
    assert opened == whole[:3]
    assert taken(Session(study, path), 6) == whole


def test_another_seed_is_another_sequence_of_the_same_evenness(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "search: {searcher: qmc}\nspace:\n"
        "  optimizer.momentum: {type: float, low: 0, high: 0.96}\n"
    )
    found = []
    for seed in (1, 2):
        study = read_study(str(path), {"search.seed": seed})
        points = [next(rest) for rest in [sequence(study)] for _ in range(32)]
        momenta = [point["optimizer.momentum"] for point in points]
        assert sorted(int(32 * m / 0.96) for m in momenta) == list(range(32))
        found.append(momenta)
    assert found[0] != found[1]
