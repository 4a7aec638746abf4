"""Figures that answer: whole in their page, and harmless whatever names are in it."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from orthotune.figures.contour import Surface, live_contour
from orthotune.figures.learning_curves import live_learning_curves
from orthotune.figures.live import upward
from orthotune.figures.parallel_coordinates import UNSET
from tests.figures.answering import HOSTILE, LR, live_page, trials, written

MADE = trials()


class Scripts(HTMLParser):
    """The scripts of a page, as a browser separates them."""

    def __init__(self, text):
        super().__init__()
        self.found, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        if self.inside:
            self.found.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1][1] += data


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), MADE)


def trace(figure, name):
    return next(one for one in figure.traces if one.get("name") == name)


def test_a_name_that_is_a_script_stays_a_name(page):
    scripts = Scripts(page.read_text()).found
    assert [attrs.get("id") for attrs, _ in scripts] == ["figures", "plotly", None]
    content = json.loads(scripts[0][1])
    assert content["notes"]["1"] == f"trial 1\ndata.root = {HOSTILE}"
    assert "hacked = 1" in scripts[0][1]
    assert "<script>hacked" not in page.read_text()


def test_only_the_two_scripts_of_the_page_may_run_and_nothing_may_be_asked(page):
    text = page.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    (_, _), (_, packed), (_, drawing) = Scripts(text).found
    library = gzip.decompress(base64.b64decode(packed))
    assert b"plotly.js v" in library[:100]
    digests = [
        base64.b64encode(hashlib.sha256(one).digest()).decode()
        for one in (library, drawing.encode())
    ]
    allowed = policy.split("script-src ")[1].split()
    assert allowed == [*(f"'sha256-{one}'" for one in digests), "'unsafe-eval'"]
    assert policy.startswith("default-src 'none';")


def test_the_same_trials_give_the_same_small_page(page, tmp_path):
    again = written(tmp_path, trials())
    assert again.read_bytes() == page.read_bytes()
    assert page.stat().st_size < 5_000_000


def test_a_page_without_live_figures_has_no_script(tmp_path):
    assert "<script" not in written(tmp_path, []).read_text().split("<body>")[0]


@pytest.mark.soak
def test_plotly_knows_every_part_of_every_figure():
    graphs = pytest.importorskip("plotly.graph_objects")
    records = [one.record for one in MADE]
    curves = live_learning_curves("val_error", [1], records[:10], records[10:])
    smooth = live_contour(
        Surface(
            parameters=[LR, LR],
            metric="val_error",
            epoch=2,
            heights=[[-1.0, float("nan")], [-0.5, -0.2]],
            logarithmic=True,
            explained=0.5,
            numbers=[3],
            points=[(0.5, 0.5)],
            errors=[0.3],
            num_trials=1,
        )
    )
    for one in (*live_page(MADE).figures.values(), curves, smooth):
        text = json.dumps([one.traces, one.layout]).replace('"@ink"', '"black"')
        traces, layout = json.loads(text)
        graphs.Figure(data=traces, layout=layout)  # which refuses what it does not know


def test_hovering_finds_the_trial_of_every_mark():
    figures = live_page(MADE).figures
    full = trace(figures["budget"], "full budget")
    assert full["customdata"] == [str(number) for number in range(10)]
    assert full["y"] == [one.record.last("val_error") for one in MADE[:10]]
    assert full["x"] == [2 * number for number in range(1, 11)]
    (diverged,) = trace(figures["budget"], "diverged")["y"]
    assert diverged == max(one.record.last("val_error") for one in MADE[:-1])
    (lines,) = figures["parallel"].traces
    assert lines["customdata"] == [str(number) for number in range(30)]
    coeff, last = lines["dimensions"][2:]
    assert coeff["values"][0] == UNSET
    assert coeff["values"][1] == MADE[1].values["regularizer.coeff"]
    assert last["values"] == pytest.approx([n / 9 for n in range(10)] + [UNSET] * 20)
    assert last["label"] == "val_error,<br>by rank"
    labels = dict(zip(last["tickvals"], last["ticktext"], strict=True))
    assert [labels[at] for at in (UNSET, 0.0, 1.0)] == ["other", "0.2", "0.29"]
    rates = lines["dimensions"][0]
    shown = [
        at
        for at, text in zip(rates["tickvals"], rates["ticktext"], strict=True)
        if text.strip()
    ]
    assert shown == pytest.approx([0, 0.5, 1])
    assert len(set(rates["ticktext"])) == len(rates["ticktext"])  # plotly finds by them
    # A brush snaps to marks: between two choices there is nothing, between numbers is.
    assert [len(axis["tickvals"]) > 100 for axis in lines["dimensions"]] == [
        True,
        False,
        True,
        True,
    ]


def test_curves_are_lines_of_their_own():
    records = [one.record for one in MADE]
    figure = live_learning_curves("val_error", [1], records[:10], records[10:])
    full = trace(figure, "full budget (10)")
    assert full["x"][:6] == [1, 2, None, 1, 2, None]
    assert full["customdata"][:4] == ["1", "1", None, "2"]  # 0 is the best's own line
    assert trace(figure, "the lowest, trial 0")["y"] == [0.8, 0.2, None]


def test_values_stand_within_the_axis_whatever_they_are():
    up = upward([0.0, 0.01, 0.4])
    assert up.axis["ticktext"][0] == "0"
    assert up.place(0.0) == up.axis["tickvals"][0] < 0.01
    assert up.place(1e9) == 0.4
    assert upward([]).place(0.5) == 0.5
    assert upward([-1.0, 0.1, 5.0]).axis["type"] == "linear"
