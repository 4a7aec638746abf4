import gc

import pytest


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch):
    """Statsmodels collects garbage at every correction: most of these tests' time."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)
