"""Both sides of the tracking benchmark write the same."""

import contextlib
import sqlite3

import pytest

from orthotune.config.metrics import METRICS
from tests.benchmarks import trackers, tracking

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy:DeprecationWarning",  # MLflow's models
    ),
]


def points(file):
    query = (
        "select name, key, step, value, status from metrics join runs using (run_uuid)"
        " where name like 'trial-%' order by 1, 2, 3"
    )
    with contextlib.closing(sqlite3.connect(file)) as store:
        found = store.execute(query).fetchall()
    return [
        (int(name.removeprefix("trial-")), *rest)
        for name, *rest in found
        if rest[0] in METRICS
    ]


def test_ours_and_rays_callback_leave_the_same_points(tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "NUM_EPOCHS", 2)
    found = []
    for make in (trackers.Ours, trackers.Rays):
        file = tmp_path / f"{make.__name__}.db"
        side = make(tmp_path, f"sqlite:///{file}", "same")
        trackers.play(side, 0, 2)
        side.close()
        found.append(points(file))
        assert tracking.count(file, "same") == 2 * 2 * len(METRICS)
    assert found[0] == found[1]
    assert len(found[0]) == 2 * 2 * len(METRICS)
