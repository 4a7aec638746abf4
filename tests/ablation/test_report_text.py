from orthotune.ablation.report import report_writer
from orthotune.ablation.report_text import markdown
from orthotune.record.trial_record import Status
from orthotune.verdicts.findings import find
from tests.ablation.cells import DATA, tiny, trained
from tests.ablation.small import FIVE, L2, OFF, TINY
from tests.ablation.written import VALUES, text_of, write


def test_question_and_verdicts_stand_on_top(tmp_path):
    report = write(tmp_path, VALUES, FIVE)
    lines = text_of(report).splitlines()
    assert lines[0] == "# Does anything matter on a tiny network?"
    assert lines[2].rstrip() == "- **equivalent**: full is better than penalty=l2"
    assert lines[4].rstrip() == "- **supported**: full is better than modulation=off"
    assert report.metrics == {
        "claims_supported": 1.0,
        "claims_contradicted": 0.0,
        "claims_equivalent": 1.0,
        "claims_undecided": 0.0,
    }


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
