"""What MLflow's own UI shows at the addresses that a study prints, in a browser.

The format of its shared views is documented nowhere: this is what holds it.
"""

import dataclasses
import re

import pytest

from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.tracking.sqlite_uri import sqlite_uri
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracker import Tracker
from orthotune.tracking.ui_view import View
from tests.browser import WAIT_MS, page
from tests.made_records import metrics
from tests.ui import Shown

ERRORS = {"0.5": Status.STOPPED, "0.125": Status.FINISHED, "0.25": Status.FINISHED}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A search of three trials in a store of its own."""
    folder = tmp_path_factory.mktemp("store")
    journal = Journal(EventLog(folder / "record.jsonl"), 3)
    tracker = Tracker(
        uri=sqlite_uri(folder / "mlflow.db"),
        name="tiny",
        study_id="ab12",
        metric="val_error",
        params={},
        tags={},
        view=View(
            kind="trial",
            study_id="ab12",
            metric="val_error",
            params=["optimizer.lr", "regularizer.kind"],
            tags=["orthotune.status"],
            charts=["train_loss"],
        ),
    )
    tracker.connect()
    tracker.start([])
    journal.observers = [tracker]
    for number, (error, status) in enumerate(ERRORS.items()):
        fields = {"optimizer.lr": (number + 1) / 64}
        journal.suggest(f"key{number}", fields)
        journal.start(number)
        for epoch in range(1, 4 if status == Status.FINISHED else 2):
            journal.report(number, epoch, metrics(float(error)))
        journal.end(number, status)
    report = folder / "report.html"
    report.write_text("<h1>What was found</h1>")
    tracker.finish(Summary(status="FINISHED", metrics={}, tags={}, artifacts=[report]))
    assert tracker.complete, tracker.first_error
    command, there = tracker.ui()
    with Shown(command, folder) as server:
        yield {
            name: re.sub(r"http://127.0.0.1:\d+", server, address)
            for name, address in dataclasses.asdict(there).items()
        }


def test_the_address_opens_on_the_trials_best_first(store):
    with page(1600) as shown:
        shown.goto(store["runs"])
        shown.get_by_text("trial-0002").wait_for()
        text = shown.inner_text("body")
        # Neither the study's own run, nor a click that is needed.
        order = re.findall(r"trial-\d+", text)
        assert order == ["trial-0001", "trial-0002", "trial-0000"]
        for column in ("val_error", "optimizer.lr", "regularizer.kind"):
            assert column in text
        for value in ("0.125", "0.25", "0.5", "0.03125", "orthonormal", "stopped"):
            assert value in text
        # Red crosses are for what failed.
        assert not shown.locator(
            "[aria-label*='Failed'], [aria-label*='Killed']"
        ).count()


def test_the_other_address_opens_on_the_curves(store):
    with page(1600) as shown:
        shown.goto(store["curves"])
        shown.get_by_text("Search metric charts").or_(
            shown.get_by_placeholder("Search metric charts")
        ).first.wait_for()
        cards = shown.locator("[data-testid='experiment-view-compare-runs-card']")
        cards.first.wait_for()
        drawn = [card.inner_text() for card in cards.all()]
        assert drawn[0].startswith("val_error")
        assert drawn[1].startswith("train_loss")


def test_the_report_has_an_address(store):
    with page() as shown:
        shown.goto(store["report"])
        frame = shown.frame_locator("iframe").first
        frame.get_by_text("What was found").wait_for(timeout=WAIT_MS)
