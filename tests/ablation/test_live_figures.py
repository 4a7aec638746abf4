"""The differences as a figure that answers: every seed and mean, with its values."""

import pytest

from orthotune.ablation.live_figures import live_page
from orthotune.figures.live import LivePage
from orthotune.verdicts.findings import find
from tests.ablation.cells import DATA, tiny, trained
from tests.ablation.retuned import AGAIN, asked, ended
from tests.ablation.small import FIVE, FULL, OFF
from tests.ablation.written import VALUES, write


@pytest.fixture
def findings(tmp_path):
    ablation = tiny(tmp_path, FIVE)
    return find(ablation, trained(ablation, VALUES), DATA)


def test_every_seed_is_a_mark_with_both_values(findings):
    page = live_page(findings)
    seeds, means = page.figures["differences"].traces
    off = [x for x, y in zip(seeds["x"], seeds["y"], strict=True) if y == 1]
    # The fourth diverged: the worst error there is.
    expected = [0.40, 0.43, 0.36, 1 - 0.13, 0.42]
    assert off == pytest.approx(expected)
    last = page.notes[seeds["customdata"][-1]].split("\n")
    assert last[0].startswith("seed 5, trial ")
    assert last[1:] == [f"val_error of {OFF}: 0.5400", f"of {FULL}: 0.1200"]
    assert means["x"][1] == pytest.approx(sum(expected) / 5)
    low, high = (means["error_x"][end][1] for end in ("arrayminus", "array"))
    interval = findings.comparisons[1].difference.interval
    assert low == pytest.approx(means["x"][1] - interval.low)
    assert high == pytest.approx(interval.high - means["x"][1])
    assert page.notes[means["customdata"][1]].startswith(f"{OFF}: +0.4960 [")


def test_arms_tuned_anew_have_marks_of_their_own(tmp_path):
    ablation = asked(tmp_path)
    page = live_page(find(ablation, ended(ablation, again=AGAIN), DATA))
    traces = page.figures["differences"].traces
    assert [one["name"] for one in traces] == [
        "every seed, shared setting",
        "mean and interval, shared setting",
        "every seed, re-tuned",
        "mean and interval, re-tuned",
    ]
    shared, again = traces[1], traces[3]
    assert shared["x"][1] == pytest.approx(0.4)
    assert again["x"][1] == pytest.approx(-0.002)
    assert shared["y"][1] < 1 < again["y"][1]


def test_the_page_of_an_ablation_answers(tmp_path):
    page = write(tmp_path, VALUES, FIVE).paths[0].read_text()
    assert page.count('<span class="live"') == 1
    assert "unsafe-eval" not in page.split("</head>")[0]  # it has nothing to compile


def test_without_a_difference_nothing_answers(tmp_path):
    ablation = tiny(tmp_path, FIVE)
    assert live_page(find(ablation, [], DATA)) == LivePage()
