"""Reuse of results that other studies of the same MLflow store have.

A trial's key is the hash of all its result depends on but the code. So a result stands
in for a trial with the same key if the code was the same: the commit, with nothing
changed beside it, or the version where orthotune was installed; and the versions of the
packages that compute. MLflow keeps metrics as double-precision numbers: what is read is
what was reported, to the last bit.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orthotune.config.trial import TrialConfig
from orthotune.console import note
from orthotune.record.earlier import Earlier
from orthotune.record.provenance import COMMIT, DIRTY
from orthotune.record.trial_record import SETTING, Status
from orthotune.storage.redaction import last_line
from orthotune.tracking.run_search import found_runs
from orthotune.tracking.sqlite_uri import reading_uri, sqlite_file
from orthotune.tracking.tracked_run import COMPUTED_BY_TAG, MIXED_CODE, RUN_STATUS

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow import MlflowClient
    from mlflow.entities import Run

COMPUTING = ("version.torch", "version.torchvision", "version.numpy")

Code = tuple[str, ...]
"""What computed a result."""


def code_of(tags: Mapping[str, str]) -> Code | None:
    """The code that a study's tags name; None if unknown, as with local changes.

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


def code_text(tags: Mapping[str, str]) -> str | None:
    """`code_of`, as the record of a study notes it for every session.

    Example:
        >>> versions = dict.fromkeys(("version.orthotune", *COMPUTING), "1.0")
        >>> code_text({**versions, COMMIT: "abc"})
        'commit abc, 1.0, 1.0, 1.0'
        >>> code_text({})
    """
    code = code_of(tags)
    return None if code is None else ", ".join(code)


class EarlierTrials:
    """What other studies of an MLflow store have run with the same code.

    Args:
        uri: The store, as `resolve_tracking_uri` gives it.
        study_id: The study that asks, whose own runs do not count.
        tags: Where it comes from, as `provenance` gives it.
        only_read: Whether a file must stay as it is, with all that is beside it.
    """

    def __init__(
        self,
        uri: str,
        study_id: str,
        tags: Mapping[str, str],
        *,
        only_read: bool = False,
    ) -> None:
        self._uri = uri
        self._only_read = only_read
        self._study_id = study_id
        self._code = code_of(tags)

    def find(self, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, Earlier]:
        """The results there are for some trials, the oldest of each.

        None, with a warning on standard error, if MLflow does not answer.

        Args:
            wanted: The fields of the trials by key, as `trial_key` gives it.
        """
        if self._code is None or not wanted or not _may_hold(self._uri):
            return {}
        try:
            return dict(self._found(wanted))
        except Exception as err:  # MLflow's own, which have no common base
            note(
                "warning: MLflow does not say what other studies have run "
                f"({last_line(err)}); none of it is used."
            )
            return {}

    def _found(
        self, wanted: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[tuple[str, Earlier]]:
        from mlflow import MlflowClient

        file = sqlite_file(self._uri) if self._only_read else None
        uri = self._uri if file is None else reading_uri(file)
        client = MlflowClient(tracking_uri=uri)
        experiments = _experiments(client)
        studies = self._studies(client, experiments)
        for key, fields in wanted.items() if studies else ():
            config = TrialConfig.from_dict(fields)
            for run in found_runs(
                client, experiments, f"tags.`orthotune.key` = '{key}'"
            ):
                known = run.data.tags.get("orthotune.study_id") in studies
                earlier = _earlier(client, run) if known and _has_result(run) else None
                if earlier is not None and _answers(earlier, config):
                    yield key, earlier
                    break

    def _studies(self, client: "MlflowClient", experiments: list[str]) -> set[str]:
        """The ids of all studies by the same code."""
        every = found_runs(client, experiments, "tags.`orthotune.kind` = 'study'")
        return {run.data.tags["orthotune.study_id"] for run in every if self._fits(run)}

    def _fits(self, study: "Run") -> bool:
        tags = study.data.tags
        mine = tags["orthotune.study_id"] == self._study_id
        return not mine and MIXED_CODE not in tags and code_of(tags) == self._code


def _may_hold(uri: str) -> bool:
    """Whether there is a store: MLflow makes a file that it does not find."""
    file = sqlite_file(uri)
    return file is None or file.exists()


_RESULTS = (Status.FINISHED, Status.DIVERGED)


def _has_result(run: "Run") -> bool:
    """Whether a run is closed as what its tag says: the tag is written before it is."""
    shown = run.data.tags.get("orthotune.status")
    return shown in _RESULTS and run.info.status == RUN_STATUS[Status(shown)]


def _answers(earlier: Earlier, config: TrialConfig) -> bool:
    """Whether a result has all epochs, of which MLflow may miss the last, and all else.

    The test error is no part of the key.
    """
    last = max(earlier.history)
    if earlier.status == Status.FINISHED and last != config.training.num_epochs:
        return False
    return not config.training.evaluate_test or "test_error" in earlier.history[last]


def _experiments(client: "MlflowClient") -> list[str]:
    found, token = [], None
    while True:
        page = client.search_experiments(page_token=token)
        found += [one.experiment_id for one in page]
        token = page.token
        if not token:
            return found


def _earlier(client: "MlflowClient", run: "Run") -> Earlier | None:
    """The result in a run; None if its metrics are incomplete or of a changed trial.

    What a population has changed in a trial is no part of its key, nor into how many
    parts its batches were divided for lack of memory.
    """
    history: dict[int, dict[str, float]] = {}
    names = list(run.data.metrics)
    if any(name.startswith(SETTING) for name in names):
        return None
    for name in names:
        for point in client.get_metric_history(run.info.run_id, name):
            history.setdefault(point.step, {})[name] = point.value
    whole = sorted(history) == list(range(1, len(history) + 1))
    every = set(names) - {"test_error"}  # which is of the last epoch only
    if not history or not whole or any(every - e.keys() for e in history.values()):
        return None
    computed_by = run.data.tags.get(COMPUTED_BY_TAG, "")
    return Earlier(
        study=run.data.tags["orthotune.study"],
        run_id=run.info.run_id,
        status=Status(run.data.tags["orthotune.status"]),
        history={epoch: history[epoch] for epoch in sorted(history)},
        computed_by=tuple(filter(None, computed_by.split(", "))),
    )
