"""The report of an ablation: what stands in it, and that its files can be read."""

import csv
import xml.etree.ElementTree as ET

import numpy as np
from scipy import stats

from orthotune.ablation.findings import find
from orthotune.ablation.report import report_writer
from orthotune.ablation.report_text import markdown
from orthotune.record.trial_record import Status
from tests.ablation.cells import DATA, tiny, trained
from tests.ablation.small import TINY

FULL, L2, OFF = "full", "penalty=l2", "modulation=off"
FIVE = TINY.replace("[1, 2, 3]", "[1, 2, 3, 4, 5]")
BY = FIVE + f"claims:\n  - {{better: full, than: {OFF}, by: 0.3}}\n"
VALUES = {
    FULL: [0.10, 0.12, 0.11, 0.13, 0.12],
    L2: [0.101, 0.119, 0.112, 0.129, 0.121],
    OFF: [0.50, 0.55, 0.47, Status.DIVERGED, 0.54],
}


def write(tmp_path, values, text=TINY):
    ablation = tiny(tmp_path, text)
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    records = trained(ablation, values)
    return report_writer(ablation, DATA, "again!")(None, folder, records, ["abc123"])


def text_of(report):
    return report.paths[1].read_text()


def test_mlflow_is_given_what_fits_into_a_tag(tmp_path):
    report = write(tmp_path, VALUES, FIVE)
    assert report.note.startswith("# Does anything matter on a tiny network?")
    assert "**supported**: full is better than modulation=off" in report.note
    assert "| penalty=l2" in report.note
    assert len(report.note) < len(text_of(report)) / 2
    assert report.note.endswith("The whole report is the artifact `report.html`.")


def test_question_and_verdicts_stand_on_top(tmp_path):
    report = write(tmp_path, VALUES, FIVE)
    lines = text_of(report).splitlines()
    assert lines[0] == "# Does anything matter on a tiny network?"
    assert lines[2].rstrip() == "- **undecided**: full is better than penalty=l2"
    assert lines[4].rstrip() == "- **supported**: full is better than modulation=off"
    assert report.metrics == {
        "claims_supported": 1.0,
        "claims_contradicted": 0.0,
        "claims_undecided": 1.0,
    }


def test_a_verdict_stands_with_its_own_numbers_and_their_sign(tmp_path):
    text = text_of(write(tmp_path, VALUES, BY))
    verdicts = text.partition("## Claims")[0]
    # 0.50 - 0.10, 0.55 - 0.12, 0.47 - 0.11, 1 - 0.13, 0.54 - 0.12
    differences = np.array([0.4, 0.43, 0.36, 0.87, 0.42])
    found = stats.ttest_1samp(differences, 0.3)  # against what was claimed, not 0
    low, high = found.confidence_interval(0.95)
    assert (
        f"**undecided**: full is better than {OFF} by at least 0.3  \n"
        f"  effect +0.4960 [{low:+.4f}, {high:+.4f}], corrected p = {found.pvalue:.4f},"
        " 5 seeds\n"
    ) in verdicts
    assert "`val_error` of a claim's second arm minus that of its first" in verdicts
    assert "above 0 the first is better, as claimed" in verdicts
    assert "(with *by at least*, other than so much)" in verdicts
    # The arms have other signs and another test.
    assert (
        "A mean is over seeds; a difference is the arm's `val_error` minus that of "
        f"the reference, {FULL}: below 0 the arm is better than it, above 0 worse."
    ) in text
    assert (
        "(left of 0: better than it, right of 0: worse)"
        in (tmp_path / "out" / "differences.svg").read_text()
    )


def test_a_claim_without_a_pair_or_a_test_says_so(tmp_path):
    nothing = {FULL: [None] * 3, L2: [None] * 3, OFF: [None] * 3}
    text = text_of(write(tmp_path, nothing))
    assert text.count("effect not known yet: no seed has both arms") == 2
    one = {name: values[:1] for name, values in VALUES.items()}
    text = text_of(write(tmp_path, one, TINY.replace("[1, 2, 3]", "[1]")))
    assert "  effect +0.4000, 1 seed\n" in text


def test_the_table_has_every_arm_with_its_divergences(tmp_path):
    report = write(tmp_path, VALUES, FIVE)
    row = next(
        line for line in text_of(report).splitlines() if line.startswith(f"| {OFF}")
    )
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == "0.6120"  # (0.50 + 0.55 + 0.47 + 1 + 0.54) / 5
    assert cells[5] == "1 [1%, 72%]"
    assert cells[6] == "+0.4960"
    assert "commit abc123" in text_of(report)


def test_remarks_say_what_a_reader_must_know(tmp_path):
    text = text_of(write(tmp_path, VALUES, FIVE))
    assert "penalty=l2 to full is within the smallest effect of interest, 0.02" in text
    dead = VALUES | {L2: [Status.DIVERGED] * 5, OFF: [Status.FAILED] * 5}
    text = text_of(write(tmp_path, dead, FIVE))
    assert "Every replicate of penalty=l2 diverged" in text
    assert "5 cells have no result and are left out" in text
    one = {name: values[:1] for name, values in VALUES.items()}
    text = text_of(write(tmp_path, one, TINY.replace("[1, 2, 3]", "[1]")))
    assert "One seed gives no interval and no test" in text
    assert "nan" not in text


def test_cells_are_written_as_they_were_measured(tmp_path):
    report = write(tmp_path, VALUES, FIVE)
    path = next(path for path in report.paths if path.name == "cells.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 15
    off = [row for row in rows if row["arm"] == OFF]
    assert [float(row["val_error"]) for row in off] == [0.50, 0.55, 0.47, 1.0, 0.54]
    assert [row["diverged"] for row in off] == ["0", "0", "0", "1", "0"]


def test_figures_are_whole_and_the_same_each_time(tmp_path):
    first = {p.name: p.read_bytes() for p in write(tmp_path, VALUES, FIVE).paths}
    again = {p.name: p.read_bytes() for p in write(tmp_path, VALUES, FIVE).paths}
    assert first == again
    for name in ("differences.svg", "curves.svg"):
        root = ET.fromstring(first[name])
        texts = " ".join("".join(node.itertext()) for node in root.iter())
        assert OFF in texts


def test_a_report_of_nothing_is_a_report(tmp_path):
    report = write(tmp_path, {FULL: [None] * 3, L2: [None] * 3, OFF: [None] * 3})
    assert not report.worked
    assert all(path.exists() for path in report.paths)
    assert "9 cells are still to run before the next verdict" in text_of(report)


def test_a_report_says_what_was_compared_and_what_to_type_for_it(tmp_path):
    text = text_of(write(tmp_path, VALUES))
    assert "Again: `again!`" in text
    assert "\nfull\n  model.depth = 8\n" in text
    assert "\nmodulation=off: modulation.enabled = False\n" in text


def test_effects_are_part_of_a_factorial_alone(tmp_path):
    names = [
        f"penalty={p}, modulation={m}"
        for p in ("orthonormal", "l2")
        for m in ("on", "off")
    ]
    values = {name: [0.1, 0.2, 0.3 + 0.1 * k] for k, name in enumerate(names)}
    ablation = tiny(tmp_path, TINY + "design: factorial\n")
    text = markdown(find(ablation, trained(ablation, values), DATA), [], {}, "again!")
    assert "| penalty=l2 x modulation=off |" in text
    assert "## Effects" not in text_of(write(tmp_path, VALUES, FIVE))


def looked_at(records):
    """The records with a profile before training and one at the end."""
    for one in records:
        profile = {
            "backward_error_moment": [1e-3, 0.0],
            "gram_deviation": [0.5, 1.5, 2.5],
            "singular_value": [0.5, 1.0, 2.0],
        }
        one.profiles = {0: profile, 2: profile}
    return records


def test_networks_are_shown_layer_by_layer_if_they_were_looked_at(tmp_path):
    ablation = tiny(tmp_path, FIVE)
    records = looked_at(trained(ablation, VALUES))
    report = report_writer(ablation, DATA, "again!")(None, tmp_path, records, [])
    names = [path.name for path in report.paths]
    assert {"signal.svg", "spectrum.svg"} <= set(names)
    signal = (tmp_path / "signal.svg").read_text()
    assert ">before training<" in signal
    assert ">after epoch 2<" in signal
    assert "Signal propagation" in text_of(report)
    assert (tmp_path / "report.html").read_text().count('<svg role="img"') == 4


def test_what_has_computed_the_cells_is_said_and_remarked_if_it_differs(tmp_path):
    ablation = tiny(tmp_path, FIVE)
    records = trained(ablation, VALUES)
    write_report = report_writer(ablation, DATA, "again!")
    assert "of training;" in text_of(write_report(None, tmp_path, records, []))
    for one in records:
        one.computed_by = ("A100",)
    text = text_of(write_report(None, tmp_path, records, []))
    assert "of training by A100;" in text
    assert "several kinds" not in text
    records[2].computed_by = ()
    assert "of training by A100, not noted;" in text_of(
        write_report(None, tmp_path, records, [])
    )
    records[2].computed_by = ("A100",)
    records[3].computed_by = ("A100", "CPU AVX2")
    text = text_of(write_report(None, tmp_path, records, []))
    assert "of training by A100, CPU AVX2;" in text
    assert (
        f"kinds of processors: A100 ({len(records)}), CPU AVX2 (1). The pairs" in text
    )


def test_figures_of_networks_say_which_have_none_as_they_diverged(tmp_path):
    ablation = tiny(tmp_path, FIVE)
    write_report = report_writer(ablation, DATA, "again!")
    dead = VALUES | {L2: [0.1, 0.2, *[Status.DIVERGED] * 3]}
    expected = {
        "(geometric means over seeds)": VALUES | {OFF: [0.5] * 5},
        f"each until it diverged, as did {L2} 3 of 5, {OFF} 1 of 5)": dead,
    }
    for said, values in expected.items():
        records = looked_at(trained(ablation, values))
        text = text_of(write_report(None, tmp_path, records, []))
        assert [one in text for one in expected] == [one == said for one in expected]


def test_nothing_is_shown_of_layers_nobody_looked_at(tmp_path):
    report = write(tmp_path, VALUES, FIVE)
    assert not {"signal.svg", "spectrum.svg"} & {path.name for path in report.paths}
    assert "Signal propagation" not in text_of(report)
