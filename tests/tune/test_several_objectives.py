"""Two metrics at once, on a published problem: ZDT1 of Zitzler, Deb and Thiele (2000).

Beside it Optuna's own study, which is told the same and has the same seeds.
"""

import hashlib
import json
import math

import optuna
import pytest
from optuna.trial import TrialState

from orthotune.record.front import front
from orthotune.statistics.pareto import hypervolume
from orthotune.study.study_file import read_study
from orthotune.tune import generations
from orthotune.tune.objectives import told_value
from tests.made_records import metrics
from tests.ray_part import Session

pytestmark = pytest.mark.filterwarnings("ignore:.*experimental.*")

METRICS = ["val_error", "val_loss"]
SPACE = {
    "optimizer.momentum": {"type": "float", "low": 0.0, "high": 0.99},
    "modulation.threshold": {"type": "float", "low": 0.0, "high": 1.0},
    "regularizer.coeff": {"type": "float", "low": 0.0, "high": 1.0},
}
SWITCHES = {"modulation.enabled": True, "regularizer.kind": "l2"}


def asked(searcher, **more):
    return read_study(
        {
            "name": "zdt1",
            "metric": METRICS,
            "search": {
                "searcher": searcher,
                "scheduler": "none",
                "max_epochs": 1,
                "num_trials": 100,
                "seed": 5,
            },
            "fixed": SWITCHES,
            "space": SPACE,
            **more,
        }
    )


def zdt1(values):
    first, *others = (values[name] for name in SPACE)
    g = 1 + 9 * sum(others) / len(others)
    return first, g * (1 - math.sqrt(first / g))


def report(session, trial, ways=1):
    """The trial's end; of several ways to end each in turn."""
    f1, f2 = zdt1(trial.fields)
    result = metrics(f1) | {"val_loss": f2, "epoch": 1, "done": True}
    match trial.number % ways:
        case 1:
            session.epoch(trial, 1, 1.0, diverged=True)
        case 2:
            session.run_out_of_memory(trial)
        case 3:
            session.fail(trial, "ValueError: broken")
        case _:
            session.result(trial, result)


def seed_of(number, attempt=0):
    return int.from_bytes(hashlib.sha256(f"5/{number}/{attempt}".encode()).digest()[:4])


def stock(searcher, number, attempt):
    """Optuna's sampler for one suggestion, with the seed that ours has."""
    seed = seed_of(number, attempt)
    if searcher == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)
    return optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=True, constant_liar=True
    )


def suggested(study, searcher, number):
    """What Optuna suggests that it has not suggested before, and its trial."""
    before = [trial.params for trial in study.get_trials()]
    for attempt in range(20):
        study.sampler = sampler = stock(searcher, number, attempt)
        if searcher == "nsga2":  # the second time it gives them in order
            sampler.get_parent_population(study, number // 20)
        trial = study.ask()
        for name, one in SPACE.items():
            trial.suggest_float(name, one["low"], one["high"])
        if trial.params not in before:
            return trial
        study.tell(trial, state=TrialState.FAIL)
    raise AssertionError


@pytest.mark.parametrize(("searcher", "trials"), [("nsga2", 65), ("tpe", 22)])
def test_suggestions_are_those_of_optunas_own_study(searcher, trials, path):
    session = Session(asked(searcher), path)
    theirs = optuna.create_study(directions=["minimize"] * 2)
    for number in range(trials):
        expected = suggested(theirs, searcher, number)
        trial = session.start()
        assert {name: trial.fields[name] for name in SPACE} == expected.params, number
        report(session, trial)
        values = [value / (1 + value) for value in zdt1(expected.params)]
        theirs.tell(expected, values)
    found = [record.fields for record in front(session.journal.records, METRICS)]
    best = [trial.params for trial in theirs.best_trials]
    assert len(found) == len(best)
    assert all({name: one[name] for name in SPACE} in best for one in found)


@pytest.mark.parametrize("searcher", ["nsga2", "tpe"])
def test_a_search_broken_off_after_any_event_goes_on_as_without_the_break(
    searcher, path, tmp_path, monkeypatch
):
    monkeypatch.setattr(generations, "POPULATION", 4)
    study = asked(searcher)
    session, given = Session(study, path), []
    for _ in range(16):
        trial = session.start()
        given.append(trial.fields)
        report(session, trial, ways=7)
    part, lines = tmp_path / "part.jsonl", path.read_bytes().splitlines(keepends=True)
    points = 0
    for count in range(1, len(lines)):
        part.write_bytes(b"".join(lines[:count]))
        again = Session(study, part)
        if any(record.epoch for record in again.journal.open):
            continue  # its end only was not written: the study writes it first
        number = len(again.journal.records) - len(again.journal.open)
        for expected in given[number : number + 2]:
            trial = again.start()
            assert trial.fields == expected, json.loads(
                lines[count - 1].split(b"\t")[0]
            )
            report(again, trial, ways=7)
        points += 1
    assert points > 40


def test_a_search_of_many_at_once_goes_on_as_without_the_break(path, monkeypatch):
    monkeypatch.setattr(generations, "POPULATION", 4)
    session = Session(asked("nsga2"), path)
    trials = [session.start() for _ in range(6)]  # the next generation, before an end
    for trial in trials[:4]:
        report(session, trial)
    content = path.read_bytes()
    following = session.start().fields
    path.write_bytes(content)
    again = Session(asked("nsga2"), path)
    opened = [again.start().fields for _ in range(2)]
    assert opened == [trial.fields for trial in trials[4:]]
    assert again.start().fields == following


def test_what_diverges_or_does_not_fit_is_the_worst_in_every_metric(path):
    study = asked("tpe", metric=["val_loss", "num_macs", "epoch_time_s"])
    session = Session(study, path)
    for number in range(5):
        trial = session.start()
        assert trial.number == number
        if number == 4:  # stopped by a limit of time
            session.epoch(trial, 1, 0.5, stop=True)
        else:
            report(session, trial, ways=5)
    for now in (session, Session(study, path)):
        good, diverged, unfit, failed, last = now.searcher._optuna.get_trials()
        worst = [1e6 / (1 + 1e6), 1.0, 1.0]
        assert diverged.values == unfit.values == worst
        assert failed.state == TrialState.FAIL
        cost = math.log1p(0.5) / (1 + math.log1p(0.5))
        assert good.values[1:] == [cost, cost]
        assert last.values[1:] == [cost, cost]
    compared = {record.number for record in front(session.journal.records, METRICS)}
    assert not compared & {1, 2, 3}


def test_what_is_told_keeps_the_order_and_large_costs_apart():
    costs = [0.0, 0.1, 1.0, 3e5, 3.3e5, 2.5e8, 2.6e8, 1e12, None]
    found = [told_value("num_macs", cost) for cost in costs]
    assert found == sorted(set(found))
    assert found[6] - found[5] > 1e-5


def test_no_configuration_is_suggested_twice(path, monkeypatch):
    """Crossing without mutation repeats what there is, again and again."""
    monkeypatch.setattr(generations, "POPULATION", 4)
    space = {"model.depth": {"type": "int", "low": 8, "high": 62, "step": 6}}
    session = Session(asked("nsga2", space=space), path)
    depths = []
    for _ in range(10):
        trial = session.start()
        depths.append(trial.fields["model.depth"])
        result = metrics(1 / depths[-1]) | {"val_loss": depths[-1] / 100}
        session.result(trial, result | {"epoch": 1, "done": True})
    assert sorted(depths) == list(range(8, 63, 6))
    assert session.start() is None


@pytest.mark.soak  # it says how good a sampler is, not whether we ask it right
@pytest.mark.parametrize("searcher", ["nsga2", "tpe"])
def test_samplers_come_nearer_to_the_front_than_chance(searcher, tmp_path):
    def volume(name):
        session = Session(asked(name), tmp_path / name)
        for _ in range(100):
            report(session, session.start())
        found = [zdt1(record.fields) for record in session.journal.records]
        return hypervolume(found, [1, 10])

    assert volume(searcher) > volume("random")
