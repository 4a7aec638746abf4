"""The plan of an ablation, from a record as its study would have left it."""

import math
from collections import Counter

import pytest
import torch

from orthotune.ablation import plan
from orthotune.config.trial import TrialConfig
from orthotune.design.ablation_file import read_ablation
from orthotune.record.earlier import Earlier
from orthotune.record.event_log import EventLog
from orthotune.record.identity import definition, trial_key
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.statistics.power import detectable_effect
from tests.ablation.cells import DATA, tiny
from tests.ablation.small import TINY
from tests.made_records import metrics

EXPLICIT = """\
question: Which network takes how long?
design: explicit
full: {model.depth: 20, training.num_epochs: 3, data.name: synthetic}
arms:
  deeper: {model.depth: 44}
  residual: {model.depth: 44, model.family: residual, modulation.enabled: false}
seeds: [1, 2]
resources: {cpus: 2}
"""


@pytest.fixture
def timed(monkeypatch):
    """The networks of which an epoch was timed; they take 0.1 s a layer, or 0.2 s."""
    timed = []

    def epoch(fields, _resources):
        model = TrialConfig.from_dict(fields).model
        timed.append((model.family, model.depth))
        return model.depth * (0.1 if model.family == "plain" else 0.2), 0

    monkeypatch.setattr(plan, "timed_epoch", epoch)
    return timed


def journal_of(ablation, storage):
    folder = storage / ablation.name
    folder.mkdir(parents=True)
    return Journal(EventLog(folder / "record.jsonl"), ablation.num_epochs)


def train(journal, ablation, arm, seed, error, status=Status.FINISHED):
    """Record that a cell has run; its number."""
    (fields,) = [f for a, s, f in ablation.cells() if (a.name, s) == (arm, seed)]
    number = journal.suggest(trial_key(fields, DATA), fields).number
    journal.start(number)
    journal.report(number, 1, metrics(0.9))
    journal.report(number, 2, metrics(error, float(status == Status.DIVERGED)))
    journal.end(number, status)
    return number


def text_of(ablation, storage):
    return plan.plan_text(ablation, DATA, str(storage), num_cpus=2)


def in_val_error(text):
    """By claim: what can be detected, and by how many pairs."""
    found = {}
    for line in text.splitlines():
        if " of val_error, by the spread of " in line:
            words = line.split()
            claim = line.partition(": ")[2]
            found[claim] = float(words[0]), int(words[words.index("pairs") - 1])
    return found


def test_families_of_one_depth_are_timed_apart_and_depths_in_proportion(
    tmp_path, timed
):
    path = tmp_path / "explicit.yaml"
    path.write_text(EXPLICIT)
    text = text_of(read_ablation(str(path)), tmp_path)
    assert Counter(timed) == {("plain", 20): 1, ("residual", 44): 1}
    # Two seeds, three epochs: 2 * 3 * (2.0 + 4.4 + 8.8) s, one at a time.
    assert (
        "time       about 1 min 31 s, 1 at once here; an epoch takes 2.00 s for "
        in (text)
    )
    assert "2.00 s for plain-20, 4.40 s for plain-44, 8.80 s for residual-44" in text


def test_before_a_run_the_spread_is_the_unit(tmp_path, timed):
    text = text_of(tiny(tmp_path), tmp_path)
    assert "detects    a difference of 3.3 standard deviations of the paired" in text
    assert not in_val_error(text)


def test_one_seed_detects_nothing(tmp_path, timed):
    ablation = tiny(tmp_path, TINY.replace("[1, 2, 3]", "[1]"))
    text = text_of(ablation, tmp_path)
    assert "detects    nothing: one seed has no spread to test against" in text


def test_two_pairs_of_a_claim_give_the_unit_of_the_metric(tmp_path, timed):
    ablation = tiny(tmp_path)
    journal = journal_of(ablation, tmp_path)
    for seed, full, off in [(1, 0.1, 0.5), (2, 0.2, 0.8)]:
        train(journal, ablation, "full", seed, full)
        train(journal, ablation, "modulation=off", seed, off)
    train(journal, ablation, "penalty=l2", 1, 0.3)
    text = text_of(ablation, tmp_path)
    assert "done       5 of them" in text
    # Differences 0.4 and 0.6: their deviation, at the three seeds there will be.
    effect = detectable_effect(math.sqrt(0.02), 3, alpha=0.05)
    expected = pytest.approx(effect, rel=0.005), 2
    assert in_val_error(text) == {"full is better than modulation=off": expected}


def test_looks_have_their_share_of_the_level_here_too(tmp_path, timed):
    ablation = tiny(tmp_path, TINY.replace("[1, 2, 3]", "{initial: 2, max: 6}"))
    assert len(ablation.looks) == 4
    journal = journal_of(ablation, tmp_path)
    for seed, full, off in [(1, 0.1, 0.5), (2, 0.2, 0.8)]:
        train(journal, ablation, "full", seed, full)
        train(journal, ablation, "modulation=off", seed, off)
    effect = detectable_effect(math.sqrt(0.02), 6, alpha=0.05 / 4)
    (found,) = in_val_error(text_of(ablation, tmp_path)).values()
    assert found == (pytest.approx(effect, rel=0.005), 2)


def test_a_diverged_cell_is_a_result_and_a_failed_or_reopened_one_is_not(
    tmp_path, timed
):
    ablation = tiny(tmp_path)
    journal = journal_of(ablation, tmp_path)
    for seed in (1, 2, 3):
        train(journal, ablation, "full", seed, 0.1 * seed)
    train(journal, ablation, "modulation=off", 1, 0.5)
    train(journal, ablation, "modulation=off", 2, 0.5, Status.DIVERGED)
    train(journal, ablation, "modulation=off", 3, 0.5, Status.FAILED)
    train(journal, ablation, "penalty=l2", 1, 0.2)
    journal.reopen(train(journal, ablation, "penalty=l2", 2, 0.2))
    text = text_of(ablation, tmp_path)
    assert "done       6 of them" in text
    # Differences 0.5 - 0.1 and 1 - 0.2; those of the other claim: one.
    effect = detectable_effect(math.sqrt(0.08), 3, alpha=0.05)
    expected = pytest.approx(effect, rel=0.005), 2
    assert in_val_error(text) == {"full is better than modulation=off": expected}


def test_a_spread_that_was_not_seen_says_nothing(tmp_path, timed):
    ablation = tiny(tmp_path)
    journal = journal_of(ablation, tmp_path)
    for seed in (1, 2):
        train(journal, ablation, "full", seed, 0.25)
        train(journal, ablation, "penalty=l2", seed, 0.75)
    assert not in_val_error(text_of(ablation, tmp_path))


def test_what_other_studies_have_run_is_neither_timed_nor_unknown(tmp_path, timed):
    ablation = tiny(tmp_path)
    journal = journal_of(ablation, tmp_path)
    train(journal, ablation, "full", 1, 0.2)
    asked = []

    def others(keys):
        asked.append(set(keys))
        found = {}
        for arm, seed, fields in ablation.cells():
            if arm.name == "modulation=off" and seed in (1, 2):
                history = {1: metrics(0.9), 2: metrics(0.3)}
                found[trial_key(fields, DATA)] = Earlier(
                    study="other", run_id="1", status=Status.FINISHED, history=history
                )
            if (arm.name, seed) == ("full", 2):
                found[trial_key(fields, DATA)] = Earlier(
                    study="other",
                    run_id="2",
                    status=Status.DIVERGED,
                    history={1: metrics(0.9, 1.0)},
                )
        return found

    text = plan.plan_text(ablation, DATA, str(tmp_path), 2, others)
    assert len(asked[0]) == 8
    assert "done       1 of them" in text
    assert "taken      3 from other studies of MLflow" in text
    (claim,) = in_val_error(text)
    assert claim == "full is better than modulation=off"
    assert in_val_error(text)[claim][1] == 2


def without_data(ablation, storage, others=lambda _wanted: {}):
    missing = ["synthetic is not there."]
    return plan.plan_text(ablation, {}, str(storage), 2, others, missing)


def test_without_the_data_a_plan_knows_what_its_record_says(tmp_path, timed):
    ablation = tiny(tmp_path)
    asked = []

    def others(wanted):
        asked.append(len(wanted))
        return {}

    text = without_data(ablation, tmp_path, others)
    for line in (
        "done       0 of them",
        "taken      not known: the data are missing",
        "data       missing: synthetic is not there.",
        "time       not known: the data are missing",
    ):
        assert line in text.splitlines()
    # A study that has begun has noted which data they are.
    journal = journal_of(ablation, tmp_path)
    asks = definition(ablation.study(), DATA)
    journal._log.append({"event": "study", "format": 1, "id": "a", "definition": asks})
    train(journal, ablation, "full", 1, 0.25)
    text = without_data(ablation, tmp_path, others)
    assert "done       1 of them" in text
    assert "taken " not in text
    assert "time       not known: the data are missing" in text
    assert (asked, timed) == ([0, 8], [])


def test_a_plan_says_that_this_machine_holds_no_cell(tmp_path, timed, monkeypatch):
    ablation = tiny(tmp_path, f"{TINY}resources: {{gpus: 1}}\n")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    why = "no trial of 1 CPU and 1 GPU fits into 2 CPU cores and 0 GPUs"
    assert f"\ntime       not known: {why}\n" in text_of(ablation, tmp_path)
    text = without_data(ablation, tmp_path)
    assert f"\ntime       not known: the data are missing, and {why}\n" in text
    assert timed == []
