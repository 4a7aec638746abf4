"""The manual as a site: built without a warning, whole, and asking no other host."""

import html
import importlib
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from orthotune.commands import common
from orthotune.config.metrics import METRICS, TARGETS
from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.design.ablation_file import TOP_LEVEL
from orthotune.schema.fields import rules
from orthotune.schema.yaml_file import parse_value
from orthotune.space.settings import StudySettings
from tests.crashes import HANGING_S
from tests.manual import ROOT

DOCS = ROOT / "docs"
CONTRIBUTING = (DOCS / "contributing.md").read_text()


@pytest.fixture
def scripts(monkeypatch):
    """Finds the modules of `docs` and `ablations`, as their commands do."""
    for folder in (DOCS, ROOT / "ablations"):
        monkeypatch.syspath_prepend(str(folder))
    return importlib.import_module


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--fail-on-warning", "--keep-going"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGING_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def read(path):
    return html.unescape(re.sub(r"<[^>]+>", "", path.read_text()))


ENTRIES = ("search", "ablate", "train", "pack")
"""What `python -m` runs, and nobody imports: the code is in `commands`."""


@pytest.mark.slow
def test_every_field_and_key_is_in_the_reference(site):
    fields = read(site / "reference" / "fields.html")
    assert [name for name in FIELD_RULES if name not in fields] == []
    assert "a number in (0, 100]" in fields
    assert "Learning rate at the schedule's factor 1" in fields
    study = read(site / "reference" / "study-file.html")
    assert [name for name, _ in rules(StudySettings) if name not in study] == []
    ablation = read(site / "reference" / "ablation-file.html")
    assert [name for name in TOP_LEVEL if name not in ablation] == []


@pytest.mark.slow
def test_every_module_has_its_place_in_the_api(site):
    pages = [path.read_text() for path in (site / "generated" / "api").glob("*.html")]
    run = {ROOT / "orthotune" / f"{name}.py" for name in ENTRIES}
    for path in set((ROOT / "orthotune").rglob("[a-z]*.py")) - run:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        assert any(f'id="module-{module}"' in page for page in pages), module


@pytest.mark.slow
def test_reading_a_page_asks_no_other_host(site):
    for path in site.rglob("*.html"):
        text = path.read_text()
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"([^\"]+)", text)
        loaded += re.findall(r"<link[^>]*\shref=\"([^\"]+)", text)
        assert loaded
        assert [one for one in loaded if re.match(r"(https?:)?//", one)] == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert "{" in styles
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", styles) == []


@pytest.mark.slow
def test_every_link_within_the_site_leads_somewhere(site):
    names = {
        path: set(re.findall(r"\sid=\"([^\"]+)\"", path.read_text()))
        for path in site.rglob("*.html")
    }
    links = 0
    for path in names:
        for href in re.findall(r"<a [^>]*?href=\"([^\"]+)\"", path.read_text()):
            if re.match(r"\w+:", href):
                continue
            target, _, name = html.unescape(href).partition("#")
            there = (path.parent / target.partition("?")[0]).resolve()
            there = there if target else path
            assert there.exists(), (path.name, href)
            assert not name or there not in names or name in names[there], href
            links += 1
    assert links > 1000


def test_a_page_that_asks_for_a_table_there_is_not_is_refused(scripts):
    with pytest.raises(KeyError, match="nothing"):
        scripts("tables").filled("# Title\n\n<!-- table: nothing -->\n")


def test_the_defaults_in_the_tables_are_those_in_force(scripts):
    tables = scripts("tables")
    whole = "".join(
        table() for name, table in tables.TABLES.items() if "fields" in name
    )
    cells = re.findall(r"^\| `([\w.]+)` +\|[^|]+\| `([^`]+)`", whole, re.MULTILINE)
    told = {name: parse_value(default) for name, default in cells}
    assert told == TrialConfig().to_dict()


def test_every_table_stands_in_a_page(scripts):
    tables = scripts("tables")
    text = "\n".join(path.read_text() for path in DOCS.rglob("*.md"))
    assert set(tables.PLACE.findall(text)) == set(tables.TABLES)


def test_every_metric_and_exit_code_is_told():
    metrics = (DOCS / "reference" / "metrics.md").read_text()
    for name in (*METRICS, *TARGETS, "test_error"):
        assert f"`{name}`" in metrics
    commands = (DOCS / "reference" / "commands.md").read_text()
    codes = [value for name, value in vars(common).items() if name[:5] == "EXIT_"]
    assert [f"{c}" for c in sorted(codes)] == re.findall(r"^\| (\d+) ", commands, re.M)


def test_the_drawing_shows_who_imports_whom(scripts):
    graph = scripts("import_graph")
    drawn = (DOCS / "images" / "imports_now.svg").read_text()
    titles = re.findall(r"<title>(.+?)&#45;&gt;(.+?)</title>", drawn)
    arrows = graph.reduced(graph.graph(ROOT))
    found = {(room, other) for room, others in arrows.items() for other in others}
    assert {tuple(map(html.unescape, title)) for title in titles} == found, "make graph"


def test_no_rooms_import_each_other(scripts):
    graph = scripts("import_graph")
    arrows = graph.graph(ROOT)
    assert list(TopologicalSorter(arrows).static_order())  # which refuses a circle


def test_arrows_that_others_imply_are_left_out(scripts):
    arrows = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    reduced = scripts("import_graph").reduced(arrows)
    assert reduced == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_the_readmes_figure_is_of_the_ledger(scripts):
    figure = scripts("main_figure")
    effects = figure.effects(figure.LEDGER.read_text())
    assert [(one.arm, one.tuned) for one in effects] == [
        (arm, tuned) for tuned in (False, True) for arm in figure.INGREDIENTS
    ]
    assert [round(one.mean, 2) for one in effects][::3] == [25.67, 24.71]
    assert all(one.low < one.mean < one.high for one in effects)
    texts = re.findall(r"<text[^>]*>(.+?)</text>", figure.FIGURE.read_text())
    for label in (*figure.SETTINGS, *figure.INGREDIENTS.values()):
        assert label.split("\n")[0] in map(html.unescape, texts)


def test_a_change_touches_at_most_three_files_and_they_are_there():
    rows = re.findall(r"^\| \[([^]]+)\]\(#[^)]+\) \| (.+) \|$", CONTRIBUTING, re.M)
    assert len(rows) == 11
    for change, files in rows:
        assert f"### {change[0].upper()}{change[1:]}" in CONTRIBUTING
        assert 1 <= files.count(".py") <= 3
    for name in re.findall(r"`((?:\w+/)*\w+\.py)`", CONTRIBUTING):
        path = Path("orthotune", name)
        assert (ROOT / path).exists() or (ROOT / name).exists(), name


def test_what_contributing_names_in_a_file_is_in_it():
    for item in re.findall(
        r"^\d\. `([\w/]+\.py)`: ([^\n]+(?:\n {3}[^\n]+)*)", CONTRIBUTING, re.M
    ):
        text = (ROOT / "orthotune" / item[0]).read_text()
        for name in re.findall(r"`([A-Za-z_]+)`", item[1]):
            assert name in text, (item[0], name)
