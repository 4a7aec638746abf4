"""A store to track into, and a tracker that does not wait in tests."""

import pytest
from mlflow import MlflowClient

from orthotune.tracking import tracker as tracking
from orthotune.tracking.tracking_uri import resolve_tracking_uri


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    uri = resolve_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    MlflowClient(tracking_uri=uri).search_experiments()  # makes it, and says so
    return uri


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(tracking, "GATHER_S", 0)
    monkeypatch.setattr(tracking, "RETRY_WAITS_S", (0.01,))
    monkeypatch.setattr(tracking, "FAILING_WAIT_S", 60.0)  # busy machines are slow


@pytest.fixture
def impatient(monkeypatch):
    """For a store that never answers."""
    monkeypatch.setattr(tracking, "FAILING_WAIT_S", 0.3)
