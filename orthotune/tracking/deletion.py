"""A study's runs in MLflow: how many there are, and their end."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orthotune.errors import StudyError
from orthotune.storage.redaction import first_line, without_secrets
from orthotune.tracking.run_search import found_runs, of_study
from orthotune.tracking.sqlite_uri import sqlite_file
from orthotune.tracking.tracking_uri import check_store

if TYPE_CHECKING:
    from mlflow import MlflowClient


class DeletableRuns:
    """The runs of a study in a store: its own, and those of its trials and arms.

    Args:
        uri: The store, as `resolve_tracking_uri` gives it. A file that is not there
            holds no runs, and is not made.
        name: Of the study.
        study_id: Tells it from others of that name.

    Raises:
        StudyError: If the store cannot be used.
    """

    def __init__(self, uri: str, name: str, study_id: str) -> None:
        self._uri, self._name, self._study_id = uri, name, study_id
        file = sqlite_file(uri)
        self._client: MlflowClient | None = None
        self.ids: list[str] = []
        if file is not None and not file.exists():
            return
        check_store(uri)
        import mlflow  # it takes a second

        try:
            self._client = mlflow.MlflowClient(tracking_uri=uri)
            self.ids = list(self._find(self._client))
        except Exception as err:  # MLflow's, SQLAlchemy's, Alembic's: no common base
            raise self._unusable(err) from err

    def delete(self) -> None:
        """Delete them, as MLflow does: `mlflow gc` takes them and their files for good.

        The experiment stays: MLflow would refuse another study of its name.

        Raises:
            StudyError: If the store does not take it; what is left is found again.
        """
        if self._client is None:
            return
        try:
            for run_id in self.ids:
                self._client.delete_run(run_id)
        except Exception as err:  # as above
            raise self._unusable(err) from err

    def _find(self, client: "MlflowClient") -> Iterator[str]:
        experiment = client.get_experiment_by_name(self._name)
        if experiment is not None:
            places = [experiment.experiment_id]
            for run in found_runs(client, places, of_study(self._study_id)):
                yield run.info.run_id

    def _unusable(self, err: Exception) -> StudyError:
        why = first_line(err).rstrip(".")
        return StudyError(
            "--tracking-uri must be a store that can be read and written to, but "
            f"{without_secrets(self._uri)} says: {why}."
        )
