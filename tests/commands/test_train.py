import json
import math
import subprocess
import sys

import pytest
import torch

from orthotune.api import read_config
from orthotune.commands.train import main
from orthotune.config.metrics import METRICS
from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError, FileError
from orthotune.training.loop import Trial
from tests.data.small_images import write_classes

SMALL = {
    "model.depth": 8,
    "model.widths": [4, 8, 16],
    "data.num_train": 64,
    "data.batch_size": 32,
    "training.num_epochs": 2,
}


def settings(values):
    return [f"--set={name}={json.dumps(value)}" for name, value in values.items()]


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A function that writes `config.yaml` in the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "config.yaml").write_text(text)
        return "config.yaml"

    return write


def table(out):
    """The printed metrics by name."""
    return {name: float(value) for name, value in map(str.split, out.splitlines())}


def test_a_trial_prints_its_metrics_and_its_progress_apart(capsys):
    assert main(settings(SMALL)) == 0
    captured = capsys.readouterr()
    metrics = table(captured.out)
    assert tuple(metrics) == METRICS
    assert all(map(math.isfinite, metrics.values()))
    assert captured.err.splitlines()[-1].startswith("epoch 2/2  train_loss ")
    assert captured.err.endswith("  0 s left\n")


def test_the_metrics_are_those_of_the_trial(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    trial = Trial(TrialConfig.from_dict(SMALL))
    while not trial.finished:
        expected = trial.run_epoch()
    assert main([*settings(SMALL), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("epoch") == 2
    assert printed.keys() == expected.keys()
    for name in expected.keys() - {"epoch_time_s", "images_per_s"}:
        assert printed[name] == expected[name], name


def test_json_is_one_line_on_standard_output(capsys):
    assert main([*settings(SMALL), "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert tuple(json.loads(out)) == ("epoch", *METRICS)


def test_a_file_configures_and_a_setting_overrides_it(config, capsys):
    path = config(
        "# a best.yaml\nmodel.depth: 14\nmodel.widths: [4, 8, 16]\n"
        "data.num_train: 64\ndata.batch_size: 32\n"
        "training.num_epochs: 1\noptimizer.lr: 1e-2\n"
        "optimizer.schedule.kind: constant\noptimizer.schedule.warmup: 0\n"
    )
    assert main([path, "--set", "optimizer.lr=2e-2", "--set=model.depth=8"]) == 0
    assert table(capsys.readouterr().out)["lr"] == 0.02


def test_the_test_error_is_printed_where_asked_for(capsys):
    values = {**SMALL, "training.evaluate_test": True}
    assert main([*settings(values), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert 0 <= printed["test_error"] <= 1
    assert main(settings(values)) == 0
    printed_again = table(capsys.readouterr().out)
    assert printed_again["test_error"] == pytest.approx(printed["test_error"], rel=1e-5)


def test_a_diverged_trial_says_so_and_is_no_failure(capsys):
    values = {**SMALL, "optimizer.lr": 100, "regularizer.coeff": 1000}
    values |= {"training.num_epochs": 5, "training.evaluate_test": True}
    assert main(settings(values)) == 0
    *metrics, last = capsys.readouterr().out.splitlines()
    assert last.startswith("The trial diverged in epoch ")
    metrics = table("\n".join(metrics))
    assert metrics["diverged"] == metrics["val_error"] == metrics["test_error"] == 1
    assert main([*settings(values), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["diverged"] == 1
    assert printed["epoch"] < 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seed: 1\nmodel.dept: 20\n",
            "config.yaml:2: `model.dept` is not a config field. "
            "Did you mean `model.depth`?",
        ),
        (
            "seed: 1\n\noptimizer.lr: fast\n",
            "config.yaml:3: `optimizer.lr` must be a number in (0, 100], "
            "but got the string 'fast'.",
        ),
        (
            "modulation.enabled: yes\n",
            "config.yaml:1: `modulation.enabled` must be true or false, "
            "but got the string 'yes'.",
        ),
        (
            "seed: 1\nmodel.family: residual\nmodulation.enabled: true\n",
            "config.yaml:3: `modulation.enabled` must be false for `model.family` "
            "residual, but got True. Modulation is exact only without shortcuts; "
            "`modulation.allow_branches` restricts it to what lies between them.",
        ),
        (
            "seed: 1\nregularizer.schedule.milestones:\n- 0.7\n- 0.3\n",
            "config.yaml:2: `regularizer.schedule.milestones` must increase, "
            "but got [0.7, 0.3]. Sort them.",
        ),
        (
            "seed: 1\nseed: 2\n",
            "config.yaml:2: must not repeat a key, but `seed` stands on line 1 too. "
            "Delete one.",
        ),
        ("", "config.yaml:1: must hold a mapping of keys, but is empty."),
        (
            "seed: !!python/object/apply:os.system [ls]\n",
            "config.yaml:1: must not use tags, but got "
            "tag:yaml.org,2002:python/object/apply:os.system.",
        ),
    ],
)
def test_a_bad_file_is_one_line_with_its_place_and_exit_code_2(
    text, message, config, capsys
):
    assert main([config(text)]) == 2
    assert capsys.readouterr() == ("", f"orthotune: {message}\n")


def test_what_is_wrong_in_a_section_is_refused_by_its_line(config, capsys):
    assert main([config("seed: 1\nmodel:\n  depth: 21\n")]) == 2
    assert capsys.readouterr().err.startswith(
        "orthotune: config.yaml:3: `model.depth` must be 6n + 2"
    )
    assert main([config("model:\n  depth: 20\nmodel.depth: 8\n")]) == 2
    assert "`model.depth` stands on line 2 too" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "model.depth=45",
            "`model.depth` must be 6n + 2 (8, 14, 20, ...), but got 45. "
            "Nearest: 44 or 50.",
        ),
        (
            "model.dept=44",
            "`model.dept` is not a config field. Did you mean `model.depth`?",
        ),
        (
            "optimizer.lr=",
            "`optimizer.lr` must be a number in (0, 100], but got None.",
        ),
        ("model.depth", "--set: must be KEY=VALUE, but got 'model.depth'. For example"),
        ("seed=[1", "--set: must hold one YAML value, but got '[1'."),
        ("data.num_train=32", "`data.num_train` must be at least `data.batch_size` ="),
    ],
)
def test_a_bad_setting_is_one_line_and_exit_code_2(setting, message, capsys):
    assert main(["--set", setting]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"orthotune: {message}")
    assert err.count("\n") == 1


def test_a_bad_setting_is_refused_before_the_file_is_read(capsys):
    assert main(["none.yaml", "--set", "seed=-1"]) == 2
    assert capsys.readouterr().err.startswith("orthotune: `seed` must be an integer")


def test_a_missing_file_is_one_line_and_exit_code_2(tmp_path, capsys):
    path = str(tmp_path / "none.yaml")
    assert main([path]) == 2
    assert capsys.readouterr() == (
        "",
        f"orthotune: {path}: must be a readable file, but: "
        "No such file or directory.\n",
    )


def test_too_few_images_are_one_line_and_exit_code_2(capsys):
    assert main(["--set", "data.num_train=5000", "--set", "model.depth=8"]) == 2
    assert capsys.readouterr().err == (
        "orthotune: `data.num_train` must be at most 1197, the training images of "
        "digits, but got 5000.\n"
    )


def test_a_batch_that_does_not_fit_into_memory_is_one_line_and_exit_code_2(
    monkeypatch, capsys
):
    def full(_trial):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")

    monkeypatch.setattr(Trial, "run_epoch", full)
    assert main(settings(SMALL)) == 2
    assert capsys.readouterr() == (
        "",
        "orthotune: `data.num_micro_batches` must leave parts of a batch that fit into "
        "memory, but with 1 one does not. Raise it, or lower data.batch_size.\n",
    )


def test_an_interrupted_trial_has_exit_code_130(monkeypatch, capsys):
    def interrupt(_trial):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "run_epoch", interrupt)
    assert main(settings(SMALL)) == 130
    assert capsys.readouterr() == ("", "orthotune: interrupted.\n")


@pytest.mark.parametrize("arguments", [["--bogus"], ["a.yaml", "b.yaml"], ["--set"]])
def test_an_unknown_argument_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m orthotune.train" in capsys.readouterr().err


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(option in out for option in ("CONFIG.yaml", "--set", "--json"))


def test_without_a_file_the_config_is_the_default():
    assert read_config(None, {}) == TrialConfig()
    assert read_config(None, {"seed": 3}) == TrialConfig(seed=3)


def test_a_config_read_is_the_config_written(config):
    values = TrialConfig.from_dict({"seed": 5, "data.num_train": 100}).to_dict()
    path = config("".join(f"{k}: {json.dumps(v)}\n" for k, v in values.items()))
    assert read_config(path, {}).to_dict() == values


def test_settings_are_checked_together_with_the_file(config):
    path = config("model.family: residual\nmodulation.enabled: false\n")
    assert read_config(path, {"seed": 1}).model.family == "residual"
    # the file's own line is not to blame for what --set says
    with pytest.raises(ConfigError, match=r"^`modulation\.enabled` must be false"):
        read_config(path, {"modulation.enabled": True})
    path = config("model.family: residual\nmodulation.enabled: true\n")
    with pytest.raises(
        FileError, match=r"config\.yaml:2: `modulation\.enabled` must b"
    ):
        read_config(path, {})
    with pytest.raises(ConfigError, match=r"^`seed` must be .* but got -1\."):
        read_config(path, {"seed": -1})


def test_the_module_runs_and_prints_one_line_of_json():
    done = subprocess.run(
        [sys.executable, "-m", "orthotune.train", "--json", *settings(SMALL)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("}\n")
    assert done.stdout.count("\n") == 1
    printed = json.loads(done.stdout)
    assert printed.keys() == {"epoch", *METRICS}
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_a_bad_file_is_refused_before_torch_is_loaded(config):
    path = config("seed: 1\nmodel.depth: 45\n")
    code = (
        "import sys\n"
        "from orthotune.commands.train import main\n"
        f"code = main([{path!r}])\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'ray', 'mlflow', 'optuna'}\n"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "2 []\n"
    assert done.stderr.startswith("orthotune: config.yaml:2: `model.depth` must be 6n")


def test_the_network_and_the_curve_are_written_where_asked_for(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    asked = ["--save", "net.pt", "--curve", "curve.svg"]
    assert main([*settings(SMALL), *asked]) == 0
    files = {"net.pt", "net.pt.yaml", "curve.svg"}
    assert {path.name for path in tmp_path.iterdir()} == files
    weights = torch.load("net.pt", weights_only=True)
    assert weights["network.layers.0.conv.weight"].shape == (4, 1, 3, 3)
    *_, curve, network = capsys.readouterr().out.splitlines()
    assert curve.split() == ["Curve", "curve.svg"]
    assert network.split()[:2] == ["Network", "net.pt,"]
    assert main(["net.pt.yaml", *asked, "--json"]) == 0  # the same again, over it
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize(
    "asked", [("--save", "a.onnx"), ("--save", "none/a.pt"), ("--curve", "a.pdf")]
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_trained(
    asked, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)

    def train(_trial):
        raise AssertionError

    monkeypatch.setattr(Trial, "run_epoch", train)
    assert main([*settings(SMALL), *asked]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"orthotune: {asked[1]} must be ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_images_that_are_broken_are_refused_and_nothing_is_made(
    config, tmp_path, capsys
):
    write_classes(tmp_path / "photos", num=6)
    broken = tmp_path / "photos" / "bee" / "004.png"
    broken.write_bytes(broken.read_bytes()[:90])
    before = sorted(tmp_path.rglob("*"))
    how = {"data.name": "image_folder", "data.root": "photos", "data.batch_size": 4}
    assert main(settings(how)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "orthotune: `data.root` must hold whole and opaque JPEG or PNG images, but "
        f"{broken} is only a part of an image. Convert or mend it, or move it away.\n"
    )
    assert sorted(tmp_path.rglob("*")) == before
