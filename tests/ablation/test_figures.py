import xml.etree.ElementTree as ET

from orthotune.ablation.report import report_writer
from orthotune.record.trial_record import Status
from tests.ablation.cells import DATA, tiny, trained
from tests.ablation.small import FIVE, L2, OFF
from tests.ablation.written import VALUES, text_of, write


def test_figures_are_whole_and_the_same_each_time(tmp_path):
    first = {p.name: p.read_bytes() for p in write(tmp_path, VALUES, FIVE).paths}
    again = {p.name: p.read_bytes() for p in write(tmp_path, VALUES, FIVE).paths}
    assert first == again
    for name in ("differences.svg", "curves.svg"):
        root = ET.fromstring(first[name])
        texts = " ".join("".join(node.itertext()) for node in root.iter())
        assert OFF in texts


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
