"""Finding runs in MLflow, page by page."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000


def of_study(study_id: str) -> str:
    """The filter for the runs of one study: its own, its trials' and its groups'.

    Example:
        >>> of_study("0a1b")
        "tags.`orthotune.study_id` = '0a1b'"
    """
    return f"tags.`orthotune.study_id` = '{study_id}'"


def found_runs(
    client: "MlflowClient",
    experiments: Sequence[str],
    filter_string: str,
    answered: Callable[[], None] = lambda: None,
) -> Iterator["Run"]:
    """The runs that a filter lets through, oldest first.

    Args:
        client: Of the store.
        experiments: The ids of the experiments to look into.
        filter_string: In MLflow's language.
        answered: Called for every page that the store has sent.
    """
    token = None
    while True:
        page = client.search_runs(
            list(experiments),
            filter_string,
            order_by=["attributes.start_time ASC"],
            max_results=PAGE,
            page_token=token,
        )
        answered()
        yield from page
        token = page.token
        if not token:
            return
