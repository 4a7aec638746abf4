from orthotune.report.in_effect import in_effect_at_end
from orthotune.study.study_file import read_study
from tests.made_records import record

SPACE = """\
search: {num_trials: 4, max_epochs: 4}
fixed: {model.depth: 8}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1}
  regularizer.coeff: {type: float, low: 1e-3, high: 1}
"""
POPULATION = SPACE.replace("}", ", scheduler: pbt, perturbation_epochs: 2}", 1)


def at_end(tmp_path, text, trial):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return in_effect_at_end(read_study(str(path)), trial)


def changed():
    """A trial whose learning rate was another from its third epoch on."""
    trial = record(0, [0.5] * 4, **{"regularizer.coeff": 0.5})
    trial.changed_fields = {"changes.epochs": [2], "changes.lr": [0.75]}
    return trial


def test_a_member_of_a_population_has_the_settings_it_ended_with(tmp_path):
    assert at_end(tmp_path, POPULATION, changed())["optimizer.lr"] == 0.75
    assert at_end(tmp_path, SPACE, changed())["optimizer.lr"] == 0.01


def test_what_a_member_does_not_read_is_not_in_effect_at_its_end(tmp_path):
    trial = changed()
    assert "regularizer.coeff" in at_end(tmp_path, POPULATION, trial)
    trial.fields["regularizer.kind"] = "none"
    assert "regularizer.coeff" not in at_end(tmp_path, POPULATION, trial)
