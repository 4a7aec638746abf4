"""The report of a tiny ablation whose cells gave given values."""

from orthotune.ablation.report import report_writer
from orthotune.record.trial_record import Status
from tests.ablation.cells import DATA, tiny, trained
from tests.ablation.small import FULL, L2, OFF, TINY

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
