"""What MLflow's UI opens on: a table of a study's own runs, best first, and curves.

Otherwise the UI shows one collapsed row without a metric. It takes a *shared view* from
a tag of the experiment, and the view's key from the address. The format is nobody's
contract: it was seen in MLflow 3.17, and a test in a browser holds it. A UI that does
not know it shows all runs.
"""

import base64
import contextlib
import json
import socket
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orthotune.tracking.run_search import of_study

TAG = "mlflow.sharedViewState."
"""How the experiment's tag begins; the view's key follows."""

SECTION = "Model metrics"
"""What the UI calls the charts of metrics without a prefix."""

MOST_COLUMNS = 12
"""A tag holds 5,000 characters, and a screen fewer columns."""

RUNS_DRAWN = 10

FIRST_PORT = 5000
"""MLflow's own; on many machines something else has it."""
MOST_PORTS = 100


@dataclass(frozen=True, kw_only=True)
class View:
    """A table of runs with charts beside it.

    Args:
        kind: Of the runs shown: the tag `orthotune.kind`.
        study_id: Of the study that they belong to.
        metric: By which they are sorted, the smallest first; the first column.
        metrics: Further columns of metrics.
        tags: Columns of tags.
        params: Columns of parameters, as many as there is room for.
        charts: Further metrics that are drawn.
    """

    kind: str
    study_id: str
    metric: str
    metrics: Sequence[str] = ()
    tags: Sequence[str] = ()
    params: Sequence[str] = ()
    charts: Sequence[str] = ()

    @property
    def key(self) -> str:
        """The name of the view in addresses."""
        return f"orthotune-{self.study_id}"

    def tag(self, now_ms: int) -> tuple[str, str]:
        """Name and value of the experiment's tag.

        Args:
            now_ms: Milliseconds since 1970.
        """
        value = {
            "name": f"{self.kind}s, best first",
            "createdAt": now_ms,
            "updatedAt": now_ms,
            "state": _packed(self._state()),
        }
        return f"{TAG}{self.key}", json.dumps(value)

    def _state(self) -> dict[str, Any]:
        columns = [
            "attributes.`Duration`",
            *(f"metrics.`{name}`" for name in [self.metric, *self.metrics]),
            # The last are cut off: a space may be wider than a screen.
            *(f"tags.`{name}`" for name in self.tags),
            *(f"params.`{name}`" for name in self.params),
        ]
        charts = dict.fromkeys([self.metric, *self.charts])
        section = str(uuid.uuid5(uuid.NAMESPACE_OID, SECTION))
        return {
            "searchFilter": f"tags.`orthotune.kind` = '{self.kind}' and "
            + of_study(self.study_id),
            "orderByKey": f"metrics.`{self.metric}`",
            "orderByAsc": True,
            "selectedColumns": columns[:MOST_COLUMNS],
            "compareRunCharts": [_chart(name, section) for name in charts],
            "compareRunSections": [
                {
                    "uuid": section,
                    "name": SECTION,
                    "display": True,
                    "isReordered": True,  # or the UI sorts them by their names
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


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the UI shows a study.

    Args:
        runs: The table of its view.
        curves: The same with the curves of the best beside it.
        report: Its report.

    Example:
        >>> found = Addresses.of("http://127.0.0.1:5000", "1", "tiny", "ab")
        >>> found.runs
        'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning\
&viewStateShareKey=tiny'
        >>> found.report
        'http://127.0.0.1:5000/#/experiments/1/runs/ab/artifacts/report.html'
    """

    runs: str
    curves: str
    report: str

    @classmethod
    def of(cls, server: str, experiment_id: str, key: str, run_id: str) -> "Addresses":
        """The addresses of one study.

        Args:
            server: Of the UI.
            experiment_id: MLflow's.
            key: Of its view.
            run_id: Of its own run.
        """
        there = f"{server}/#/experiments/{experiment_id}/runs"
        # Or the UI opens its GenAI workspace, where runs are not shown.
        runs = f"{there}?workflowType=machine_learning&viewStateShareKey={key}"
        return cls(
            runs=runs,
            curves=f"{runs}&compareRunsMode=CHART",
            report=f"{there}/{run_id}/artifacts/report.html",
        )


def free_port(first: int = FIRST_PORT) -> int:
    """A port for a UI on this machine: the first that nobody listens on.

    Args:
        first: Where to begin.
    """
    for port in range(first, first + MOST_PORTS):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    return first
