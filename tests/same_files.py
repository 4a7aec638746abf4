"""What a study has printed and left, as lines, without what no two runs share.

That is: times and what measures them, ids made at random, the commit, and a port.
"""

import base64
import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.crashes import read_trials, study_in
from tests.small import TIMINGS

Parts = dict[str, list[str]]
"""Lines to compare, by what they are lines of."""

VARYING = (
    (r"\b[0-9a-f]{40}\b", "COMMIT"),
    (r"commit unknown", "commit COMMIT"),
    (r"\b[0-9a-f]{32}\b", "RUN"),
    (r"\b[\d.]+ (s|min|h)( \d\d (s|min))?(?![\w.])", "TIME"),
    (r"(--port |127\.0\.0\.1:)\d+", r"\1PORT"),
)
"""What differs between two runs in every text: patterns, and what is put there."""

NOT_COMPARED = {"mlflow.source.git.commit", "mlflow.source.git.branch"}
NOT_COMPARED |= {"mlflow.source.git.dirty"}
"""Tags that say which code ran."""

CHANGES = "uncommitted.diff"
"""A file that is there while the code has changes that no commit has."""

MIXED_CODE = ": tag orthotune.mixed_code ="

SESSIONS = {"session", "paused", "started"}
"""Events of which an interrupted study has more."""

WHOLE = ("*.yaml", "report.*", "*.csv", "*.svg")
"""Files whose every line is compared; of the others only that they are there."""


def masked(text: str, study_id: str = "no id") -> list[str]:
    """The lines of a text without what varies."""
    for pattern, what in (*VARYING, (re.escape(study_id), "STUDY")):
        text = re.sub(pattern, what, text)
    return text.splitlines()


def messages(out: str, err: str, study_id: str = "no id") -> list[str]:
    """What a command has said, without the lines of progress, which come by time."""
    lines = masked(f"{out}\n{err}", study_id)
    return [one for one in lines if not re.match(r"orthotune: \d+/\d+ ", one)]


def left(work: Path, name: str) -> Parts:
    """What a study has left: its record, its files, its runs in MLflow."""
    folder = study_in(work, name)
    events = list(record(folder / "record.jsonl"))
    known = events[0]["id"]
    parts = {"record lines": [json.dumps(_timeless(event)) for event in events]}
    parts |= in_mlflow(work, name, known)
    trials = read_trials(folder / "trials.jsonl")
    parts["trials"] = [json.dumps(trial) for trial in trials]
    paths = (path for path in folder.rglob("*") if path.name != CHANGES)
    names = "\n".join(str(path.relative_to(folder)) for path in paths)
    parts["files"] = sorted(masked(names, known))
    for pattern in WHOLE:
        for path in sorted(folder.glob(pattern)):
            parts[f"lines of {path.name}"] = masked(path.read_text(), known)
    return parts


def record(path: Path) -> Iterator[dict]:
    """The events of a study's record, whose every line must be whole."""
    for line in path.read_bytes().splitlines():
        text, _, crc = line.rpartition(b"\t")
        assert crc == b"%08x" % zlib.crc32(text), f"{path}: a line is damaged: {line}"
        yield json.loads(text)


def without_sessions(parts: Parts) -> Parts:
    """Of what a study has left, that in which an interrupted one is like it."""
    kept = dict(parts)
    events = [json.loads(line) for line in parts["record lines"]]
    for event in events:
        event.pop("between", None)  # it was written between two sessions
    kept["record lines"] = [
        json.dumps(event) for event in events if event["event"] not in SESSIONS
    ]
    kept["lines of MLflow runs"] = [
        # The study's own metrics are written at the end of every session.
        re.sub(r"^(study .*: metric \S+ = ).*(\(.*\)\])$", r"\1[... \2", line)
        for line in parts["lines of MLflow runs"]
        if MIXED_CODE not in line  # said of what another commit has begun
    ]
    return kept


def in_mlflow(work: Path, name: str, study_id: str) -> Parts:
    """The runs of a study, each with all that MLflow knows of it."""
    with tempfile.TemporaryDirectory() as folder:
        # A copy: MLflow keeps databases open, and this one's path is used again.
        for path in work.glob("mlflow.db*"):
            shutil.copy(path, folder)
        client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
        experiment = client.get_experiment_by_name(name)
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        told = sorted("\n".join(_run(client, run, study_id)) for run in runs)
        views = [_view(tag) for tag in experiment.tags.values()]
    return {
        "lines of MLflow runs": masked("\n".join(told), study_id),
        "views": masked("\n".join(views), study_id),
    }


def _run(client: MlflowClient, run: Run, study_id: str) -> Iterator[str]:
    """A line for each kind of what MLflow knows of a run."""
    title = f"{run.data.tags['orthotune.kind']} {run.info.run_name}"
    yield f"{title}: {run.info.status}, {run.info.artifact_uri.split(study_id)[0]}"
    for name, value in sorted(run.data.params.items()):
        yield f"{title}: param {name} = {value}"
    for name, value in sorted(run.data.tags.items()):
        if name not in NOT_COMPARED:
            yield f"{title}: tag {name} = {value}"
    for name in sorted(set(run.data.metrics) - TIMINGS):
        found = client.get_metric_history(run.info.run_id, name)
        values = [(metric.step, metric.value.hex()) for metric in found]
        yield f"{title}: metric {name} = {values}"
    files = {one.path for one in client.list_artifacts(run.info.run_id)}
    yield f"{title}: artifacts {sorted(files - {CHANGES})}"


def _view(tag: str) -> str:
    """The tag of an experiment that says what MLflow's UI opens on, unpacked."""
    view = json.loads(tag)
    packed = view["state"].removeprefix("deflate;")
    state = zlib.decompress(base64.b64decode(packed)).decode()
    return json.dumps({**view, "createdAt": 0, "updatedAt": 0, "state": state})


def _timeless(event: dict) -> dict:
    """An event without what measures time and what is made at random."""
    nothing = {"time": 0, "commit": "COMMIT", "code": "CODE"}
    nothing |= {"id": "STUDY"} if event["event"] == "study" else {}
    known = {name: nothing.get(name, value) for name, value in event.items()}
    if "metrics" in event:
        metrics = event["metrics"].items()
        known["metrics"] = {n: 0 if n in TIMINGS else v for n, v in metrics}
    return known
