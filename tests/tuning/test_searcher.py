import json
from statistics import median

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from orthotune.training.config import TrialConfig
from orthotune.tuning.searcher import OptunaSearcher, config_key
from orthotune.tuning.study_file import read_study

pytestmark = pytest.mark.filterwarnings("ignore:.*experimental.*")


def optuna_trials(searcher):
    return searcher._study.get_trials()


def run(searcher, trial_id, values, **last):
    """Report a metric by epoch, as Ray does: the last one with the end."""
    for epoch, value in enumerate(values[:-1], 1):
        searcher.on_trial_result(trial_id, {"epoch": epoch, "val_error": value})
    end = {"epoch": len(values), "val_error": values[-1], **last}
    searcher.on_trial_complete(trial_id, end)


def test_suggestions_are_plain_values_within_their_conditions(tiny_study):
    searcher = OptunaSearcher(tiny_study)
    kinds = set()
    for number in range(30):
        fields = searcher.suggest(str(number))
        config = TrialConfig.from_dict(fields)
        assert json.loads(json.dumps(fields)) == fields
        assert config.training.num_epochs == 3
        assert config.model.depth == 8
        assert fields["model.widths"] in ([4, 4, 4], [4, 8, 8])
        kinds.add(fields["regularizer.kind"])
        has_coeff = "regularizer.coeff" in fields
        assert has_coeff == (fields["regularizer.kind"] == "orthonormal")
        run(searcher, str(number), [0.5, 0.4, fields["optimizer.lr"]])
    assert kinds == {"orthonormal", "l2", "none"}


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_the_same_seed_gives_the_same_suggestions(tiny_file, sampler):
    def suggestions(seed):
        overrides = {"search.searcher": sampler, "search.seed": seed}
        searcher = OptunaSearcher(read_study(str(tiny_file), overrides))
        found = []
        for number in range(14):  # beyond the samplers' random start
            found.append(searcher.suggest(str(number)))
            run(searcher, str(number), [found[-1]["optimizer.lr"]] * 3)
        return found

    assert suggestions(1) == suggestions(1)
    assert suggestions(1) != suggestions(2)


def test_a_full_budget_is_complete_and_an_early_stop_is_pruned(tiny_study):
    searcher = OptunaSearcher(tiny_study)
    searcher.suggest("full")
    searcher.suggest("stopped")
    run(searcher, "full", [0.5, 0.4, 0.3])
    run(searcher, "stopped", [0.9, 0.8])
    full, stopped = optuna_trials(searcher)
    assert full.state == TrialState.COMPLETE
    assert full.value == 0.3
    assert full.intermediate_values == {1: 0.5, 2: 0.4, 3: 0.3}
    assert stopped.state == TrialState.PRUNED
    assert stopped.intermediate_values == {1: 0.9, 2: 0.8}


def test_a_diverged_trial_is_told_as_bad(tiny_study):
    searcher = OptunaSearcher(tiny_study)
    searcher.suggest("a")
    run(searcher, "a", [0.9, 1.0], diverged=1.0)
    (trial,) = optuna_trials(searcher)
    assert trial.state == TrialState.COMPLETE
    assert trial.value == 1.0


@pytest.mark.parametrize("result", [None, {"epoch": 1, "val_error": 0.5}])
def test_an_error_is_a_failure_and_nothing_stays_running(tiny_study, result):
    searcher = OptunaSearcher(tiny_study)
    searcher.suggest("a")
    searcher.on_trial_complete("a", result, error=True)
    (trial,) = optuna_trials(searcher)
    assert trial.state == TrialState.FAIL


def test_a_trial_that_ends_twice_is_told_once(tiny_study):
    searcher = OptunaSearcher(tiny_study)
    searcher.suggest("a")
    run(searcher, "a", [0.5, 0.4, 0.3])
    searcher.on_trial_complete("a", None, error=True)
    (trial,) = optuna_trials(searcher)
    assert trial.value == 0.3


def test_the_sampler_learns_from_what_it_is_told(tiny_file):
    overrides = {"search.searcher": "tpe", "search.seed": 3}
    searcher = OptunaSearcher(read_study(str(tiny_file), overrides))
    rates = []
    for number in range(60):
        fields = searcher.suggest(str(number))
        rates.append(fields["optimizer.lr"])
        run(searcher, str(number), [min(1.0, fields["optimizer.lr"] * 10)] * 3)
    assert median(rates[-20:]) < 0.5 * median(rates[:20])


def finite_study(tmp_path):
    path = tmp_path / "finite.yaml"
    path.write_text(
        "search: {num_trials: 50, max_epochs: 2}\n"
        "space:\n"
        "  init.scheme: {type: categorical, choices: [he, orthonormal]}\n"
        "  model.depth: {type: int, low: 8, high: 20, step: 6}\n"
    )
    return read_study(str(path))


@pytest.mark.parametrize("finish", [True, False])
def test_no_configuration_is_suggested_twice_and_an_exhausted_space_ends(
    tmp_path, finish
):
    searcher = OptunaSearcher(finite_study(tmp_path))
    keys = set()
    for number in range(6):
        fields = searcher.suggest(str(number))
        keys.add(config_key(fields))
        if finish:
            run(searcher, str(number), [0.5, 0.1 * number])
    assert len(keys) == 6
    assert searcher.suggest("more") == Searcher.FINISHED
    running = [t for t in optuna_trials(searcher) if t.state == TrialState.RUNNING]
    assert len(running) == (0 if finish else 6)


def test_fields_that_cannot_change_the_result_do_not_make_a_new_configuration():
    off = {"modulation.enabled": False}
    assert config_key(off) == config_key({**off, "modulation.threshold": 0.3})
    assert config_key({}) != config_key({"modulation.threshold": 0.3})


def test_saved_and_restored_it_knows_every_trial(tiny_study, tmp_path):
    searcher = OptunaSearcher(tiny_study)
    for number in range(4):
        searcher.suggest(str(number))
    run(searcher, "0", [0.5, 0.4, 0.3])
    run(searcher, "1", [0.9])
    searcher.on_trial_complete("2", None, error=True)
    searcher.on_trial_result("3", {"epoch": 1, "val_error": 0.7})
    searcher.save(str(tmp_path / "state.json"))
    restored = OptunaSearcher(tiny_study)
    restored.restore(str(tmp_path / "state.json"))
    ours, theirs = optuna_trials(searcher), optuna_trials(restored)
    for before, after in zip(ours, theirs, strict=True):
        assert before.state == after.state
        assert before.value == after.value
        assert before.params == after.params
        assert before.distributions == after.distributions
    run(restored, "3", [0.7, 0.6, 0.2])
    last = optuna_trials(restored)[3]
    assert last.state == TrialState.COMPLETE
    assert last.intermediate_values == {1: 0.7, 2: 0.6, 3: 0.2}
