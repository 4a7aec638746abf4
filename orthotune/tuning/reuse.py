"""Results that other studies of the same MLflow store have: no second run is needed.

A trial's key is the hash of all its result depends on but the code. So a result stands
in for a trial with the same key if the code was the same: the commit, with nothing
changed beside it, or the version where orthotune was installed; and the versions of the
packages that compute. MLflow keeps metrics as double-precision numbers: what is read is
what was reported, to the last bit.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orthotune.tuning.journal import Status

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow import MlflowClient
    from mlflow.entities import Run

COMPUTING = ("version.torch", "version.torchvision", "version.numpy")
COMMIT, DIRTY = "mlflow.source.git.commit", "mlflow.source.git.dirty"
PAGE = 1000

Code = tuple[str, ...]
"""What computed a result."""


def code_of(tags: Mapping[str, str]) -> Code | None:
    """What code a study's tags name; None if nobody knows, as with local changes.

    Args:
        tags: As `provenance` gives them.

    Example:
        >>> versions = dict.fromkeys(("version.orthotune", *COMPUTING), "1.0")
        >>> code_of({**versions, COMMIT: "abc", DIRTY: "false"})
        ('commit abc', '1.0', '1.0', '1.0')
        >>> code_of({**versions, COMMIT: "abc", DIRTY: "true"})
        >>> code_of(versions)
        ('version 1.0', '1.0', '1.0', '1.0')
    """
    if tags.get(DIRTY, "false") != "false":
        return None
    known = [tags.get(name) for name in ("version.orthotune", *COMPUTING)]
    if any(version is None for version in known):
        return None
    own, *others = (str(version) for version in known)
    commit = tags.get(COMMIT)
    return (f"commit {commit}" if commit else f"version {own}", *others)


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """A trial that another study has run.

    Args:
        study: Its name.
        run_id: The trial's run in MLflow.
        status: How it ended: finished or diverged.
        history: Its metrics by epoch.
    """

    study: str
    run_id: str
    status: Status
    history: Mapping[int, Mapping[str, float]]


class EarlierTrials:
    """What other studies of an MLflow store have run with the same code.

    Args:
        uri: The store, as `resolve_tracking_uri` gives it.
        study_id: The study that asks, whose own runs do not count.
        tags: Where it comes from, as `provenance` gives it.
    """

    def __init__(self, uri: str, study_id: str, tags: Mapping[str, str]) -> None:
        self._uri = uri
        self._study_id = study_id
        self._code = code_of(tags)

    def find(self, keys: Iterable[str]) -> dict[str, Earlier]:
        """The results there are for some keys.

        Args:
            keys: What `trial_key` gave.

        Raises:
            Exception: MLflow's own, which have no common base, if it does not answer.
        """
        wanted = set(keys)
        if self._code is None or not wanted or not _may_hold(self._uri):
            return {}
        from mlflow import MlflowClient

        client, found = MlflowClient(tracking_uri=self._uri), {}
        for run in self._trials(client):
            key = run.data.tags["orthotune.key"]
            if key in wanted and key not in found:
                earlier = _earlier(client, run)
                if earlier is not None:
                    found[key] = earlier
        return found

    def _trials(self, client: "MlflowClient") -> Iterator["Run"]:
        """The trials with a result, of all studies by the same code; oldest first."""
        experiments = [one.experiment_id for one in client.search_experiments()]
        studies = _search(client, experiments, "tags.`orthotune.kind` = 'study'")
        ids = [
            run.data.tags["orthotune.study_id"] for run in studies if self._fits(run)
        ]
        for study_id in ids:
            ended = (
                f"tags.`orthotune.study_id` = '{study_id}' and "
                "tags.`orthotune.kind` = 'trial' and attributes.status != 'RUNNING'"
            )
            for run in _search(client, experiments, ended):
                if run.data.tags.get("orthotune.status") in _RESULTS:
                    yield run

    def _fits(self, study: "Run") -> bool:
        tags = study.data.tags
        mine = tags["orthotune.study_id"] == self._study_id
        return not mine and code_of(tags) == self._code


def _may_hold(uri: str) -> bool:
    """Whether there is a store: MLflow makes a file that it does not find."""
    prefix = "sqlite:///"
    return not uri.startswith(prefix) or Path(uri.removeprefix(prefix)).exists()


_RESULTS = (Status.FINISHED, Status.DIVERGED)


def _search(
    client: "MlflowClient", experiments: list[str], filter_string: str
) -> Iterator["Run"]:
    token = None
    while True:
        page = client.search_runs(
            experiments,
            filter_string,
            order_by=["attributes.start_time ASC"],
            max_results=PAGE,
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def _earlier(client: "MlflowClient", run: "Run") -> Earlier | None:
    """A run as a result; None if its metrics are not whole."""
    history: dict[int, dict[str, float]] = {}
    names = list(run.data.metrics)
    for name in names:
        for point in client.get_metric_history(run.info.run_id, name):
            history.setdefault(point.step, {})[name] = point.value
    whole = sorted(history) == list(range(1, len(history) + 1))
    if not history or not whole or any(len(e) < len(names) for e in history.values()):
        return None
    return Earlier(
        study=run.data.tags["orthotune.study"],
        run_id=run.info.run_id,
        status=Status(run.data.tags["orthotune.status"]),
        history={epoch: history[epoch] for epoch in sorted(history)},
    )
