"""The view that MLflow's UI opens on; that the UI understands it: test_mlflow_ui.py."""

import base64
import json
import socket
import zlib

from orthotune.tracking.ui_view import MOST_COLUMNS, View, free_port


def state(view):
    name, value = view.tag(now_ms=5)
    assert name == f"mlflow.sharedViewState.{view.key}"
    found = json.loads(value)
    assert found["createdAt"] == found["updatedAt"] == 5
    kind, _, packed = found["state"].partition(";")
    assert kind == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def view(**more):
    return View(kind="trial", study_id="ab12", metric="val_error", **more)


def test_the_runs_of_the_study_are_shown_best_first():
    found = state(view(params=["optimizer.lr"], tags=["orthotune.status"]))
    assert found["orderByKey"] == "metrics.`val_error`"
    assert found["orderByAsc"] is True
    assert found["searchFilter"] == (
        "tags.`orthotune.kind` = 'trial' and tags.`orthotune.study_id` = 'ab12'"
    )
    assert found["selectedColumns"] == [
        "attributes.`Duration`",
        "metrics.`val_error`",
        "tags.`orthotune.status`",
        "params.`optimizer.lr`",
    ]


def test_the_metric_is_drawn_first_and_once():
    found = state(view(charts=["train_loss", "val_error"]))
    drawn = [chart["metricKey"] for chart in found["compareRunCharts"]]
    assert drawn == ["val_error", "train_loss"]
    (section,) = found["compareRunSections"]
    owners = {chart["metricSectionId"] for chart in found["compareRunCharts"]}
    assert owners == {section["uuid"]}


def test_a_large_space_fits_into_a_tag():
    wide = view(
        params=[f"section.parameter_{n}" for n in range(60)],
        tags=["orthotune.status"],
    )
    assert len(wide.tag(now_ms=10**13)[1]) < 5000
    columns = state(wide)["selectedColumns"]
    assert len(columns) == MOST_COLUMNS
    assert "tags.`orthotune.status`" in columns  # which alone tells stopped from whole


def test_a_port_that_is_taken_is_not_chosen():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        if taken > 65_000:
            return  # none may be left above it
        assert taken < free_port(taken) < taken + 100
