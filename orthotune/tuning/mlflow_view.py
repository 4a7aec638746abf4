"""What MLflow's UI opens on: a table of a study's own runs, best first, and curves.

Otherwise the UI shows one collapsed row without a metric. It takes a *shared view* from
a tag of the experiment, and the view's key from the address. The format is nobody's
contract: it was seen in MLflow 3.17, and a test in a browser holds it. A UI that does
not know it shows all runs.
"""

import base64
import json
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

TAG = "mlflow.sharedViewState."
"""How the experiment's tag begins; the view's key follows."""

SECTION = "Model metrics"
"""What the UI calls the charts of metrics without a prefix."""

MOST_COLUMNS = 12
"""A tag holds 5,000 characters, and a screen fewer columns."""

RUNS_DRAWN = 10


@dataclass(frozen=True, kw_only=True)
class View:
    """A table of runs with charts beside it.

    Args:
        key: Of the view, in addresses.
        kind: Of the runs shown: the tag `orthotune.kind`.
        study_id: Of the study that they belong to.
        metric: By which they are sorted, the smallest first.
        metrics: Further columns and charts.
        params: Columns of parameters.
        tags: Columns of tags.
    """

    key: str
    kind: str
    study_id: str
    metric: str
    metrics: Sequence[str] = ()
    params: Sequence[str] = ()
    tags: Sequence[str] = field(default=("orthotune.status",))

    def tag(self, now_ms: int) -> tuple[str, str]:
        """Name and value of the experiment's tag.

        Args:
            now_ms: Milliseconds since 1970.
        """
        value = {
            "name": self.key,
            "createdAt": now_ms,
            "updatedAt": now_ms,
            "state": _packed(self._state()),
        }
        return f"{TAG}{self.key}", json.dumps(value)

    def _state(self) -> dict[str, Any]:
        names = [self.metric, *self.metrics]
        columns = [
            "attributes.`Duration`",
            *(f"tags.`{name}`" for name in self.tags),
            *(f"metrics.`{name}`" for name in names),
            *(f"params.`{name}`" for name in self.params),
        ]
        section = str(uuid.uuid5(uuid.NAMESPACE_OID, SECTION))
        return {
            "searchFilter": f"tags.`orthotune.kind` = '{self.kind}' and "
            f"tags.`orthotune.study_id` = '{self.study_id}'",
            "orderByKey": f"metrics.`{self.metric}`",
            "orderByAsc": True,
            "selectedColumns": columns[:MOST_COLUMNS],
            "compareRunCharts": [_chart(name, section) for name in names],
            "compareRunSections": [
                {
                    "uuid": section,
                    "name": SECTION,
                    "display": True,
                    "isReordered": False,
                    "deleted": False,
                    "isGenerated": True,
                }
            ],
        }


def _chart(metric: str, section: str) -> dict[str, Any]:
    """A metric by epoch, a line a run."""
    return {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, metric)),
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "runsCountToCompare": RUNS_DRAWN,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": True,
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "range": {},
    }


def _packed(state: dict[str, Any]) -> str:
    text = json.dumps(state, separators=(",", ":")).encode()
    return "deflate;" + base64.b64encode(zlib.compress(text)).decode()


def runs_address(server: str, experiment_id: str, key: str, *, curves: bool) -> str:
    """The address of a view.

    Args:
        server: Address of the UI.
        experiment_id: MLflow's.
        key: The view's.
        curves: Whether it opens on the curves beside the table.

    Example:
        >>> runs_address("http://127.0.0.1:5000", "1", "tiny", curves=True)
        'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning\
&viewStateShareKey=tiny&compareRunsMode=CHART'
    """
    mode = "&compareRunsMode=CHART" if curves else ""
    # Today's UI opens an experiment in its GenAI workspace, where runs are not shown.
    return (
        f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
        f"&viewStateShareKey={key}{mode}"
    )


def artifact_address(server: str, experiment_id: str, run_id: str, name: str) -> str:
    """The address of a run's artifact.

    Example:
        >>> artifact_address("http://127.0.0.1:5000", "1", "ab", "report.html")
        'http://127.0.0.1:5000/#/experiments/1/runs/ab/artifacts/report.html'
    """
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}/artifacts/{name}"
