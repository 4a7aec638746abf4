import json
from dataclasses import replace

import pytest

from orthotune.commands.search import main
from orthotune.errors import StudyError
from orthotune.record.trial_record import Status
from orthotune.record.warm_start import WarmStart
from orthotune.study.study_file import read_study
from orthotune.warmstart.earlier_studies import with_warm_start
from tests.made_studies import DATA, begun, ran
from tests.ray_part import Session
from tests.studies import TINY

EARLIER = [
    (0.01, [0.5, 0.4, 0.2]),
    (0.02, [0.5, 0.4, 0.1]),
    (0.03, [0.9], Status.STOPPED),
    (0.04, [0.5, 1.0], Status.DIVERGED),
    (0.05, [0.5], Status.FAILED),
    (0.06, [0.5, 0.4, 0.3]),
    (0.07, [0.5, 0.4, 0.35]),
]

OTHERS = {"regularizer.kind": "l2", "model.widths": [4, 8, 8]}


def study_from(tmp_path, *start_from, **overrides):
    """A study that starts from others, before it has begun."""
    path = tmp_path / "next.yaml"
    path.write_text(TINY.replace("name: tiny\n", ""))
    return read_study(str(path), {"search.start_from": list(start_from), **overrides})


def started(study, storage):
    found = with_warm_start(study, str(storage), DATA)
    return found, found.warm_start


@pytest.fixture
def storage(tmp_path, tiny_file):
    study = read_study(str(tiny_file))
    journal = begun(study, tmp_path / "studies")
    for lr, errors, *status in EARLIER:
        ran(
            journal, study.trial_fields({**OTHERS, "optimizer.lr": lr}), errors, *status
        )
    return tmp_path / "studies"


def test_trials_of_the_same_question_are_told_and_the_best_is_tried(tmp_path, storage):
    _, start = started(study_from(tmp_path, "tiny"), storage)
    assert [one.source for one in start.tried] == ["tiny, trial 1"]
    assert start.tried[0].values["optimizer.lr"] == 0.02
    told = {one.source: (one.status, one.epoch) for one in start.told}
    assert told == {
        "tiny, trial 0": ("finished", 3),
        "tiny, trial 2": ("stopped", 1),
        "tiny, trial 3": ("diverged", 2),
        "tiny, trial 5": ("finished", 3),
        "tiny, trial 6": ("finished", 3),
    }
    assert start.left_out == ("tiny, trial 4: has no result to learn from (failed)",)


def test_the_sampler_knows_what_it_is_told_before_it_suggests(tmp_path, storage, path):
    study, _ = started(study_from(tmp_path, "tiny"), storage)
    session = Session(study, path)
    first = session.start()
    assert first.fields["optimizer.lr"] == 0.02
    known = session.searcher._optuna.get_trials()
    assert [one.state.name for one in known] == [
        *("COMPLETE", "PRUNED", "COMPLETE", "COMPLETE", "COMPLETE", "RUNNING")
    ]
    assert known[0].value == 0.2 / 1.2
    assert known[1].intermediate_values == {1: 0.9}
    assert known[2].value == 0.5  # diverged: the worst error, 1
    again = study_from(tmp_path, "tiny")
    bare = Session(again, tmp_path / "bare.jsonl")
    session.run(first, [0.5, 0.4, 0.1])
    assert session.start().fields != bare.start().fields


def test_other_epochs_or_fields_are_tried_but_not_told(tmp_path, storage):
    study = study_from(tmp_path, "tiny", **{"search.max_epochs": 4})
    _, start = started(study, storage)
    numbers = [one.source.rpartition(" ")[2] for one in start.tried]
    assert numbers == ["1", "0", "5"]  # by their errors
    assert not start.told
    assert (
        "tiny, 6 trials (0, 1, 2, 3 ...): `training.num_epochs` was 3 and is 4 "
        in (start.left_out[0])
    )
    _, start = started(study_from(tmp_path, "tiny", **{"seed": 3}), storage)
    assert not start.told
    assert "`seed` was 0 and is 3 here" in start.left_out[0]


def test_other_data_of_the_same_name_are_not_the_same(tmp_path, storage):
    study = study_from(tmp_path, "tiny")
    for data, words in (({"synthetic": "1"}, "have changed"), ({}, "are not here")):
        start = with_warm_start(study, str(storage), data).warm_start
        assert len(start.tried) == 3
        assert not start.told
        assert f"the data synthetic {words}" in start.left_out[0]


def test_what_the_space_does_not_hold_is_listed_with_the_reason(tmp_path, storage):
    narrow = study_from(tmp_path, "tiny")
    rate, kind, *others = narrow.space.parameters
    space = replace(
        narrow.space, parameters=(replace(rate, low=0.015, high=0.025), kind, *others)
    )
    _, start = started(replace(narrow, space=space), storage)
    assert [one.values["optimizer.lr"] for one in start.tried] == [0.02]
    reason = "`optimizer.lr` = 0.01 is outside: number in [0.015, 0.025], logarithmic"
    assert start.left_out[0] == f"tiny, trial 0, as one of the best: {reason}"
    space = replace(narrow.space, parameters=(rate, replace(kind, choices=("none",))))
    _, start = started(replace(narrow, space=space), storage)
    assert not start.tried
    assert "`regularizer.kind` = l2 is outside: one of none" in start.left_out[0]


def test_a_file_and_a_folder_are_named_by_their_paths(tmp_path, storage):
    best = tmp_path / "best.yaml"
    best.write_text("optimizer.lr: 0.05\nmodel.widths: [4, 8, 8]\n")
    folder = str(storage / "tiny")
    study = study_from(tmp_path, str(best), folder)
    _, start = started(study, tmp_path / "elsewhere")
    assert [one.source for one in start.tried] == [str(best), f"{folder}, trial 1"]
    assert start.tried[0].values["optimizer.lr"] == 0.05
    assert start.tried[0].values["model.widths"] == [4, 8, 8]
    assert len(start.told) == 5


def test_an_ablation_gives_the_best_of_its_arms(tmp_path, storage):
    study = read_study(str(tmp_path / "tiny.yaml"))
    listed = replace(study, settings=replace(study.settings, name="arms"))
    fields = study.trial_fields({**OTHERS, "optimizer.lr": 0.09})
    listed = replace(listed, listed=(fields,), question={})
    journal = begun(listed, storage)
    ran(journal, fields, [0.5, 0.4, 0.2], group="a", label="seed 0")
    _, start = started(study_from(tmp_path, "arms"), storage)
    assert [one.values["optimizer.lr"] for one in start.tried] == [0.09]


def test_what_is_not_there_is_refused_and_nothing_is_changed(
    tmp_path, storage, monkeypatch, capsys
):
    with pytest.raises(StudyError, match=r"`search.start_from`: .*no record.*tiny\."):
        started(study_from(tmp_path, "missing"), storage)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["next.yaml", "--set", "search.start_from=[missing]", "--plan"]) == 2
    assert "must be the folder of a study" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("searcher", ["grid", "qmc"])
def test_what_goes_through_a_space_in_order_starts_from_nothing(tmp_path, searcher):
    overrides = {"search.searcher": searcher, "search.num_trials": 4}
    with pytest.raises(Exception, match=r"start_from` must be left out for pbt, grid"):
        study_from(tmp_path, "tiny", **overrides)


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_a_warm_search_broken_off_anywhere_goes_on_as_without_the_break(
    tmp_path, storage, sampler, path
):
    overrides = {"search.searcher": sampler, "search.max_epochs": 3}
    study, start = started(study_from(tmp_path, "tiny", **overrides), storage)
    whole = Session(study, tmp_path / "whole.jsonl")
    given = []
    for number in range(9):
        trial = whole.start()
        given.append(trial.fields)
        whole.run(trial, [0.5, 0.4, 0.3 + number / 100])
    header = json.loads(json.dumps({"warm_start": start.to_dict()}))  # as on a disk
    again = replace(study_from(tmp_path, "tiny", **overrides))
    again = replace(again, warm_start=WarmStart.of(header))
    for number, expected in enumerate(given):  # a session a trial
        session = Session(again, path)
        trial = session.start()
        assert trial.fields == expected
        session.run(trial, [0.5, 0.4, 0.3 + number / 100])


def test_a_study_that_has_begun_knows_what_it_took_whatever_became_of_it(
    tmp_path, storage
):
    import contextlib

    from orthotune.record.identity import definition
    from orthotune.study.record_opening import RecordOpening

    study, start = started(study_from(tmp_path, "tiny"), storage)
    asked = definition(study, DATA)
    assert asked["search.start_from"] == ["tiny"]
    with contextlib.ExitStack() as stack:
        opening = RecordOpening(study, str(storage), asked, stack, lambda _: None)
        opening.begun("0123456789ab")
    for file in sorted((storage / "tiny").iterdir()):
        file.unlink()
    later, known = started(study_from(tmp_path, "tiny"), storage)
    assert known == start
    assert later.start_lines == start.lines()


def test_definitions_without_a_warm_start_are_as_they_were(tiny_study):
    from orthotune.record.identity import definition

    assert "search.start_from" not in definition(tiny_study, DATA)
