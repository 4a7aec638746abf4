"""`--report` starts nothing and reads no data: the record says all it needs."""

import pytest

from orthotune.design.ablation_file import read_ablation
from orthotune.record.event_log import EventLog
from orthotune.record.identity import definition, trial_key
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.study.record_opening import FORMAT
from orthotune.study.study_file import read_study
from tests.files import everything
from tests.home import COMMANDS, Home
from tests.made_records import metrics
from tests.said import refusal

NAME = "fashion_mnist"
DATA = {NAME: "of a machine with data"}

ONE = ["ablate", pytest.param("search", marks=pytest.mark.soak)]
"""Both commands go the same way; each takes seconds."""


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def begin(home, command, commits=("abc1",)):
    """Put down what a study on another machine has recorded; each commit a session."""
    path = str(home.work / f"{command}.yaml")
    overrides = {"data.num_train": None, "data.name": NAME}
    if command == "ablate":
        ablation = read_ablation(path, overrides)
        study, cells = ablation.study(), [fields for *_, fields in ablation.cells()]
    else:
        study = read_study(path, overrides)
        fixed = {**study.space.fixed, "regularizer.kind": "l2"}
        cells = [{**fixed, "optimizer.lr": 0.01 * n} for n in range(1, 5)]
    folder = home.folder / "storage" / study.settings.name
    folder.mkdir()
    log = EventLog(folder / "record.jsonl")
    header = {"event": "study", "format": FORMAT, "id": "ab12", "time": 1}
    log.append({**header, "definition": definition(study, DATA)})
    epochs = study.settings.search.max_epochs
    journal = Journal(log, epochs)
    for commit in commits:
        journal.begin_session(commit=commit)
    for number, fields in enumerate(cells):
        journal.suggest(trial_key(fields, DATA), fields)
        journal.start(number)
        for epoch in range(1, epochs + 1):
            journal.report(number, epoch, metrics(0.25))
        journal.end(number, Status.FINISHED)
    log.close()
    return folder


@pytest.mark.parametrize("command", ONE)
def test_of_a_study_that_has_not_begun_there_is_no_report_and_nothing_is_made(
    command, home
):
    code, out, err = home.same(command, "--report", *home.data(NAME, True))
    assert (code, out) == (2, "")
    assert "must have begun to be reported, but there is no record" in refusal(err)


@pytest.mark.parametrize("command", ONE)
def test_a_report_needs_no_data(command, home):
    """The data are where it trains; who looks may be on another machine."""
    study = begin(home, command)
    before = everything(home.folder / "data", home.work, study)
    code, out, err = home.run(command, "--report", *home.data(NAME, True))
    assert (code, err) == (0, "")
    assert f"Report              {study / 'report.html'}" in out
    after = everything(home.folder / "data", home.work, study)
    changed = {path for path in after if after[path] != before.get(path)}
    assert {path.parent for path in changed - {study}} == {study}
    assert study / "record.jsonl" not in changed
    values = {"search": "0.2500", "ablate": "undecided"}
    assert values[command] in (study / "report.md").read_text()


@pytest.mark.parametrize("command", ONE)
def test_a_report_says_the_commits_that_ran_the_study_not_the_readers(command, home):
    study = begin(home, command, commits=("abc1", "def2", "abc1"))
    assert home.run(command, "--report", *home.data(NAME, True))[0] == 0
    assert "code at commits abc1 and def2." in (study / "report.md").read_text()
    if command == "search":
        assert "# Code: commits abc1 and def2.\n" in (study / "best.yaml").read_text()


@pytest.mark.soak
@pytest.mark.parametrize("command", COMMANDS)
def test_a_report_of_another_question_is_refused(command, home):
    begin(home, command)
    code, _, err = home.same(command, "--report", *home.data("cifar10", True))
    assert code == 2
    assert "must go on as it began, but" in refusal(err)
