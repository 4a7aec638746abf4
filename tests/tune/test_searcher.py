import json
import math
from statistics import median

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from orthotune.config.trial import TrialConfig
from orthotune.errors import StudyStoppedError
from orthotune.record.identity import trial_key
from orthotune.record.trial_record import Status
from orthotune.study.study_file import read_study
from orthotune.tune.assignment import STUDY
from tests.full_disk import full_disk
from tests.made_records import metrics
from tests.ray_part import FINGERPRINTS, Session

pytestmark = pytest.mark.filterwarnings("ignore:.*experimental.*")


def optuna_trials(session):
    return session.searcher._optuna.get_trials()


def states(session):
    return [trial.state for trial in optuna_trials(session)]


def score(trial):
    """A validation error that is smaller the smaller the learning rate is."""
    return min(1.0, trial.fields["optimizer.lr"] * 10)


def play(session, trial):
    """A trial that ends as its number says, each of the ways to end in turn."""
    last = score(trial)
    match trial.number % 7:
        case 1:
            session.run(trial, [last, last], stop=True)
        case 2:
            session.run(trial, [last, 1.0], diverged=True)
        case 3:
            session.run(trial, [last])
            session.fail(trial, "ValueError: broken")
        case 4:
            session.run_out_of_memory(trial)
        case 5:
            session.run(trial, [last])
            session.die(trial)
        case _:
            session.run(trial, [1.0, 1.0, last])


def played(study, path, trials):
    """A session of so many trials, one after another; what they were given."""
    session = Session(study, path)
    given = []
    for _ in range(trials):
        trial = session.start()
        given.append(trial.fields)
        play(session, trial)
    return session, given


def prefixes(path, tmp_path):
    """The log as it was after every event: a file and the event's kind."""
    part = tmp_path / "part.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for count, line in enumerate(lines, 1):
        part.write_bytes(b"".join(lines[:count]))
        yield part, json.loads(line.split(b"\t")[0])


def test_suggestions_are_plain_values_within_their_conditions(session):
    kinds = set()
    for _ in range(30):
        trial = session.start()
        config = TrialConfig.from_dict(trial.fields)
        assert json.loads(json.dumps(trial.config)) == trial.config
        assert config.training.num_epochs == 3
        assert config.model.depth == 8
        assert trial.fields["model.widths"] in ([4, 4, 4], [4, 8, 8])
        kinds.add(trial.fields["regularizer.kind"])
        has_coeff = "regularizer.coeff" in trial.fields
        assert has_coeff == (trial.fields["regularizer.kind"] == "orthonormal")
        session.run(trial, [0.5, 0.4, trial.fields["optimizer.lr"]])
    assert kinds == {"orthonormal", "l2", "none"}


def test_a_trial_is_in_the_journal_before_it_is_suggested(session, path, tmp_path):
    trial = session.start()
    record = session.journal[0]
    assert record.fields == trial.fields
    assert record.key == trial_key(trial.fields, FINGERPRINTS)
    assert trial.config == {
        STUDY: {
            "name": f"trial-0000-{record.key}",
            "folder": str(tmp_path / "checkpoints"),
            "fields": record.fields,
            "reported": 0,
            "parted": False,
            "gpus": 0.0,
            "gpu_bytes": None,
            "checked_nodes": None,
            "holder": None,
            "member": False,
            "profiled": False,
            "signals": False,
            "plugins": None,
        }
    }


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_the_same_seed_gives_the_same_suggestions(tiny_file, tmp_path, sampler):
    def suggestions(seed, name):
        overrides = {"search.searcher": sampler, "search.seed": seed}
        study = read_study(str(tiny_file), overrides)
        return played(study, tmp_path / name, 12)[1]  # beyond the random start

    first = suggestions(1, "first")
    assert first == suggestions(1, "again")
    assert first != suggestions(2, "other")


def test_every_end_is_told_as_what_it_was(tiny_study, path):
    session, _ = played(tiny_study, path, 6)
    full, stopped, diverged, failed, unfit, dead = optuna_trials(session)
    last = session.journal[0].last("val_error")
    assert full.state == TrialState.COMPLETE
    assert full.value == last / (1 + last)
    assert full.intermediate_values == {3: last}
    last = session.journal[1].last("val_error")
    assert stopped.state == TrialState.PRUNED
    assert stopped.intermediate_values == {2: last}
    assert diverged.state == TrialState.COMPLETE
    assert diverged.value == 0.5
    assert diverged.intermediate_values == {2: 1.0}
    assert unfit.state == TrialState.COMPLETE
    assert unfit.value == 0.5
    assert unfit.intermediate_values == {}
    assert failed.state == TrialState.FAIL
    assert dead.state == TrialState.FAIL


def test_lack_of_memory_is_the_worst_loss_too(tiny_file, path):
    study = read_study(str(tiny_file), {"metric": "val_loss"})
    session = Session(study, path)
    trial = session.start()
    session.epoch(trial, 1, 0.5)
    session.run_out_of_memory(trial)
    for now in (session, Session(study, path)):
        assert optuna_trials(now)[0].value == 1e6 / (1 + 1e6)


def test_only_a_trial_that_is_told_stops_running(session):
    first, second = session.start(), session.start()
    assert states(session) == [TrialState.RUNNING] * 2
    session.run(second, [0.5, 0.4, 0.3])
    assert states(session) == [TrialState.RUNNING, TrialState.COMPLETE]
    session.run(first, [0.5], stop=True)
    assert states(session) == [TrialState.PRUNED, TrialState.COMPLETE]


@pytest.mark.parametrize("epochs", [0, 1])
def test_an_error_is_a_failure_and_nothing_stays_running(session, epochs):
    trial = session.start()
    session.run(trial, [0.5] * epochs)
    session.die(trial)
    assert states(session) == [TrialState.FAIL]


@pytest.mark.parametrize("value", [math.nan, math.inf, 1.0])
@pytest.mark.parametrize("diverged", [True, False])
def test_no_value_leaves_a_trial_running(tiny_study, path, value, diverged):
    session = Session(tiny_study, path)
    session.run(session.start(), [0.5, 0.5, value], diverged=diverged)
    for now in (session, Session(tiny_study, path)):
        (trial,) = optuna_trials(now)
        assert trial.state == TrialState.COMPLETE
        assert 0.5 <= trial.value <= (0.5 if diverged else 1.0)


def test_a_trial_that_ends_twice_is_told_once(session):
    trial = session.start()
    session.run(trial, [0.5, 0.4, 0.3])
    session.die(trial)
    (trial,) = optuna_trials(session)
    assert trial.state == TrialState.COMPLETE
    assert trial.value == 0.3 / 1.3


def test_a_diverged_trial_does_not_blind_a_gaussian_process(tiny_file, path):
    """Which standardizes: beside a loss of a million all others would be one."""
    study = read_study(str(tiny_file), {"metric": "val_loss", "search.searcher": "gp"})
    session = Session(study, path)
    for loss in (2.0, 0.5):
        trial = session.start()
        for epoch in (1, 2, 3):
            result = metrics(0.5) | {"val_loss": loss, "epoch": epoch}
            session.result(trial, result | {"done": epoch == 3})
    session.run(session.start(), [0.5], diverged=True)
    bad, good, worst = (trial.value for trial in optuna_trials(session))
    assert good < bad < worst
    assert bad - good > 0.3 * (worst - good)


def test_the_sampler_learns_from_what_it_is_told(tiny_file, path):
    overrides = {"search.searcher": "tpe", "search.seed": 3}
    session = Session(read_study(str(tiny_file), overrides), path)
    rates = []
    for _ in range(60):
        trial = session.start()
        rates.append(trial.fields["optimizer.lr"])
        session.run(trial, [score(trial)] * 3)
    assert median(rates[-20:]) < 0.5 * median(rates[:10])  # ten are random


@pytest.fixture
def finite_study(tmp_path):
    path = tmp_path / "finite.yaml"
    path.write_text(
        "search: {num_trials: 50, max_epochs: 2}\n"
        "space:\n"
        "  init.scheme: {type: categorical, choices: [he, orthonormal]}\n"
        "  model.depth: {type: int, low: 8, high: 20, step: 6}\n"
    )
    return read_study(str(path))


@pytest.mark.parametrize("finish", [True, False])
def test_no_configuration_is_suggested_twice_and_an_exhausted_space_ends(
    finite_study, path, finish
):
    session = Session(finite_study, path)
    found = set()
    for number in range(6):
        trial = session.start()
        found.add((trial.fields["init.scheme"], trial.fields["model.depth"]))
        if finish:
            session.run(trial, [0.5, 0.1 * number])
    depths, schemes = (8, 14, 20), ("he", "orthonormal")
    assert found == {(scheme, depth) for depth in depths for scheme in schemes}
    assert not session.journal.exhausted
    assert session.suggestion() == Searcher.FINISHED
    assert session.journal.exhausted
    assert len(session.journal.records) == 6
    assert states(session).count(TrialState.RUNNING) == (0 if finish else 6)


def test_a_continued_search_suggests_nothing_twice_either(finite_study, path):
    found = []
    for _ in range(6):  # a session a trial
        trial = (session := Session(finite_study, path)).start()
        session.run(trial, [0.5, 0.4])
        found.append(trial.fields)
    assert len({json.dumps(fields) for fields in found}) == 6
    assert Session(finite_study, path).suggestion() == Searcher.FINISHED


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_was_broken_off_anywhere_goes_on_as_without_the_break(
    tiny_file, path, tmp_path, sampler
):
    study = read_study(str(tiny_file), {"search.searcher": sampler})
    _, given = played(study, path, 15)
    points = 0
    for part, event in prefixes(path, tmp_path):
        session = Session(study, part)
        if any(
            session.journal.natural_end(record.number) != Status.STOPPED
            or (record.number % 7 == 1 and record.epoch == 2)
            for record in session.journal.open
        ):
            continue  # its end only was not written: the study writes it first
        number = len(session.journal.records) - len(session.journal.open)
        for expected in given[number : number + 2]:
            trial = session.start()
            assert trial.fields == expected, event
            play(session, trial)
        points += 1
    assert points > 45


def test_a_search_by_gaussian_process_goes_on_as_without_the_break(
    tiny_file, path, tmp_path
):
    study = read_study(str(tiny_file), {"search.searcher": "gp"})
    _, given = played(study, path, 14)
    for part, event in prefixes(path, tmp_path):
        session = Session(study, part)
        number = len(session.journal.records)
        if not session.journal.open and number < len(given):
            assert session.start().fields == given[number], event


def test_a_search_of_many_at_once_goes_on_as_without_the_break(tiny_study, path):
    session, _ = played(tiny_study, path, 12)
    waiting, running, begun = (session.start() for _ in range(3))
    session.epoch(begun, 1, 0.5)
    content = path.read_bytes()
    following = session.start().fields
    path.write_bytes(content)
    again = Session(tiny_study, path)
    opened = [again.start().fields for _ in range(3)]
    assert opened == [trial.fields for trial in (waiting, running, begun)]
    assert again.start().fields == following


def test_a_rebuilt_search_holds_every_trial_as_it_ended(tiny_study, path):
    session, _ = played(tiny_study, path, 14)
    session.epoch(session.start(), 1, 0.7)
    ours, theirs = optuna_trials(session), optuna_trials(Session(tiny_study, path))
    for before, after in zip(ours, theirs, strict=True):
        assert before.state == after.state
        if before.state == TrialState.COMPLETE:  # nobody reads that of another
            assert before.value == after.value
        assert before.params == after.params
        assert before.distributions == after.distributions
        assert before.intermediate_values == after.intermediate_values
    found = {trial.state for trial in theirs}
    assert found == {
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
        TrialState.RUNNING,
    }


def test_a_search_that_is_extended_has_learned_from_the_trials_before(
    tiny_study, tmp_path
):
    def second_half(name, *, knowing):
        session = Session(tiny_study, tmp_path / name)
        for _ in range(12):
            trial = session.start()
            if knowing:
                session.run(trial, [score(trial)] * 3)
            else:  # samplers read nothing of a trial without a result
                session.die(trial)
        session.journal.suspend()
        session = Session(tiny_study, tmp_path / name)  # num_trials: 24
        rates = []
        for _ in range(12):
            trial = session.start()
            session.run(trial, [score(trial)] * 3)
            rates.append(trial.fields["optimizer.lr"])
        return rates

    informed = second_half("informed", knowing=True)
    ignorant = second_half("ignorant", knowing=False)
    assert informed[0] != ignorant[0]
    assert median(informed) < median(ignorant)


def test_trials_a_session_left_open_come_first_and_go_on(tiny_study, path):
    session = Session(tiny_study, path)
    ended, begun, fresh = (session.start() for _ in range(3))
    session.run(ended, [0.5, 0.4, 0.3])
    session.epoch(begun, 1, 0.7)
    session.epoch(begun, 2, 0.6)
    again = Session(tiny_study, path)
    trials = [again.start() for _ in range(3)]
    assert [trial.number for trial in trials] == [1, 2, 3]
    assert [trial.config[STUDY]["reported"] for trial in trials] == [2, 0, 0]
    assert [trials[0].fields, trials[1].fields] == [begun.fields, fresh.fields]
    assert str(trials[0]) == str(begun)
    assert again.resumed == [(1, "id1"), (2, "id2")]
    again.run(trials[0], [0.7, 0.6, 0.2])
    again.run(trials[1], [0.9], stop=True)
    _, first, second, _ = optuna_trials(again)
    assert first.state == TrialState.COMPLETE
    assert first.intermediate_values == {3: 0.2}
    assert second.state == TrialState.PRUNED
    assert [record.status for record in again.journal.records] == [
        Status.FINISHED,
        Status.FINISHED,
        Status.STOPPED,
        Status.RUNNING,
    ]


def test_a_trial_that_failed_and_is_reopened_is_tried_again(tiny_study, path):
    session = Session(tiny_study, path)
    first = session.start()
    session.fail(first, "KeyError: 'x'")
    session.journal.reopen(0)
    again = Session(tiny_study, path)
    trial = again.start()
    assert (trial.number, trial.fields) == (0, first.fields)
    again.run(trial, [0.5, 0.4, 0.3])
    assert states(again) == [TrialState.COMPLETE]


def test_a_journal_that_cannot_be_written_ends_the_search(session, path):
    with full_disk(path):
        assert session.suggestion() == Searcher.FINISHED  # None: Ray asks for minutes
    assert session.suggestion() == Searcher.FINISHED
    assert isinstance(session.stopper.error, StudyStoppedError)
    assert session.journal.records == []


CONSTRAINED = """\
search: {searcher: SEARCHER, num_trials: 30, max_epochs: 3, seed: 1}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  optimizer.momentum: {type: float, low: 0, high: 0.99}
  size:
    type: joint
    choices:
      - {model.depth: 8, data.batch_size: 64}
      - {model.depth: 14, data.batch_size: 32}
constraints:
  - optimizer.lr / (1 - optimizer.momentum) <= 0.1
  - data.batch_size * optimizer.lr >= 0.2
"""


def constrained(tmp_path, searcher, text=CONSTRAINED):
    path = tmp_path / "constrained.yaml"
    path.write_text(text.replace("SEARCHER", searcher))
    return read_study(str(path))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_constrained_search_goes_on_after_any_break_as_without_it(
    tmp_path, path, sampler
):
    study = constrained(tmp_path, sampler)
    _, given = played(study, tmp_path / "whole.jsonl", 16)
    for fields in given:
        rate, momentum = fields["optimizer.lr"], fields["optimizer.momentum"]
        assert rate / (1 - momentum) <= 0.1
        assert fields["data.batch_size"] * rate >= 0.2
        assert (fields["model.depth"], fields["data.batch_size"]) in [(8, 64), (14, 32)]
    for expected in given:  # a session a trial
        session = Session(study, path)
        trial = session.start()
        assert trial.fields == expected
        play(session, trial)


def test_a_gaussian_process_is_told_what_it_violates_and_goes_on_as_without_a_break(
    tmp_path, path, monkeypatch
):
    """Untold, it suggests the same forbidden point until the draws take over."""
    from orthotune.tune import searcher

    asked, sampler = [], searcher._sampler

    def counted(study, number, attempt):
        asked.append((number, attempt))
        return sampler(study, number, attempt)

    monkeypatch.setattr(searcher, "_sampler", counted)
    two = CONSTRAINED.split("  size:")[0] + "constraints: [optimizer.lr <= 0.03]\n"
    study = constrained(tmp_path, "gp", two)

    def better_beyond(session, trial):
        session.run(trial, [1 - 10 * trial.fields["optimizer.lr"]] * 3)

    session = Session(study, path)
    for _ in range(11):  # ten are random
        better_beyond(session, session.start())
    content = path.read_bytes()
    expected = session.start().fields
    attempts = [max(a for n, a in asked if n == number) for number in (10, 11)]
    assert sum(attempts) > 0  # the best lies outside
    assert max(attempts) < searcher.MAX_VIOLATIONS / 2
    path.write_bytes(content)
    assert Session(study, path).start().fields == expected
