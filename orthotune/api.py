"""What `import orthotune` offers: search, ablate, train, and load what there is.

The commands parse words, call these functions, and print. What a function says while it
works goes to standard error, and nothing to standard output; what is wrong is raised.
Nothing heavy is imported before a file is known to be right.
"""

import dataclasses
import functools
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from orthotune.config.config_file import configured
from orthotune.config.plugins import import_plugins, plugins
from orthotune.config.trial import TrialConfig
from orthotune.console import note
from orthotune.design.ablation import Ablation
from orthotune.design.ablation_file import read_ablation
from orthotune.design.overview import overview as ablation_overview
from orthotune.figures.training_curve import CURVE_SUFFIXES, write_training_curve
from orthotune.record.study_definition import Study
from orthotune.shipped import found_file
from orthotune.storage.redaction import first_line
from orthotune.study.data import data_of, read_data
from orthotune.study.overview import overview
from orthotune.study.study_file import read_study
from orthotune.training.progress import ProgressLine
from orthotune.training.targets import NETWORK_SUFFIXES, check_target

if TYPE_CHECKING:
    from orthotune.archive.loaded import LoadedStudy
    from orthotune.blocks.report import Written
    from orthotune.study.result import StudyResult
    from orthotune.training.loop import Trial

File = str | os.PathLike[str] | Mapping[str, Any]
"""A path, the name of a shipped file, or what such a file holds."""

T = TypeVar("T")

MOST_TRIED = 256
"""Corners of a space at which others' code is looked for."""

STORAGE = "studies"
"""Where studies are kept by default."""


def search(
    file: File | Study,
    /,
    *,
    storage: str | os.PathLike[str] = STORAGE,
    tracking_uri: str | None = None,
    address: str | None = None,
    name: str | None = None,
    imports: Sequence[str] = (),
    tensorboard: str | os.PathLike[str] | None = None,
    command: str | None = None,
    **overrides: object,
) -> "LoadedStudy":
    """Search the space a file describes; the same call continues it, or says the end.

    Ctrl-C ends it in order, and gives what there is.

    Args:
        file: A study file, the name of a shipped one (`modulation`), or what such a
            file holds, as a dict; or a study that was read.
        storage: Folder or URI under which the study keeps its files.
        tracking_uri: MLflow store or server; `default_tracking_uri()` where it is None.
        address: Ray cluster to run on; $RAY_ADDRESS, or one on this machine.
        name: Of the study; the file's by default.
        imports: Modules that register what the file names, as `--import`.
        tensorboard: Folder for files that TensorBoard shows; none by default.
        command: What the report shall say that runs it again.
        **overrides: Keys of the file (`**{"search.num_trials": 4}`), or fields of a
            trial, which are fixed then and leave the space: as `--set`.

    Returns:
        The study, as `load_study` gives it; its `outcome` says how the session ended.

    Raises:
        PluginError: If a module cannot be imported, here or by workers.
        FileError: If the file is not YAML, or not a mapping.
        SearchSpaceError: If anything in it, or in `overrides`, is not allowed.
        DataError: If data are missing.
        StudyError: If the storage, MLflow or Ray cannot be used, or the study of this
            name asks another question, or runs already.
        StudyStoppedError: If it cannot go on, as on a full disk; what is done is kept.

    Example:
        ::

            study = orthotune.search("modulation", **{"search.num_trials": 4})
            study.trials[["trial", "optimizer.lr", "val_error"]]

            study = orthotune.search({
                "name": "rates",
                "search": {"num_trials": 8, "max_epochs": 5},
                "fixed": {"model.depth": 20},
                "space": {
                    "optimizer.lr": {
                        "type": "float", "low": 1e-3, "high": 0.1, "log": True
                    }
                },
            })
            study.best.optimizer.lr
    """
    import_plugins(imports)
    overrides = _named(overrides, name)
    if isinstance(file, Study):
        study = _as_read(file, overrides)
    else:
        study = read_study(found_file(file, "search_spaces"), overrides)
        command = command or _call("search", file, imports, overrides)
    _announce(overview(study))
    fingerprints = read_data(data_of(study))
    _rehearse(study.space.corners(MOST_TRIED))
    from orthotune.cluster.environment import prepare

    prepare()
    # Ray and MLflow take seconds to import: only a file that is right waits for them.
    from orthotune.archive.loaded import LoadedStudy
    from orthotune.report.search_report import write_report
    from orthotune.study.result import Locations
    from orthotune.study.run import run_study
    from orthotune.warmstart.earlier_studies import with_warm_start

    storage, uri = _storage(storage), tracking_uri or default_tracking_uri()
    study = with_warm_start(study, storage, fingerprints)
    write = functools.partial(write_report, command=command or "")
    locations = Locations.of(storage, uri, address, tensorboard)
    outcome = run_study(study, locations, fingerprints, write)
    _note_trace(outcome, "trials")
    return LoadedStudy(study.settings.name, storage, outcome=outcome)


def ablate(
    file: File | Ablation,
    /,
    *,
    storage: str | os.PathLike[str] = STORAGE,
    tracking_uri: str | None = None,
    address: str | None = None,
    name: str | None = None,
    imports: Sequence[str] = (),
    reuse: bool = True,
    tensorboard: str | os.PathLike[str] | None = None,
    command: str | None = None,
    **overrides: object,
) -> "LoadedStudy":
    """Settle the question a file asks; the same call continues it, or says the end.

    Args:
        file: An ablation file, the name of a shipped one (`components`), or what such a
            file holds, as a dict; or an ablation that was read.
        storage: As for `search`.
        tracking_uri: As for `search`.
        address: As for `search`.
        name: Of the ablation; the file's by default.
        imports: As for `search`.
        reuse: Whether cells that another study of the MLflow store has run with this
            code are taken from there.
        tensorboard: As for `search`.
        command: What the report shall say that runs it again.
        **overrides: Keys of the file (`seeds=[1, 2]`), or fields of a trial, which are
            set in every arm that does not set them itself: as `--set`.

    Returns:
        The study, as `load_study` gives it. Its `outcome` says how the session ended,
        and `outcome.report.findings` holds the verdicts.

    Raises:
        AblationError: If anything in the file, or in `overrides`, is not allowed.
        FileError: As `search`; likewise PluginError, DataError, StudyError and
            StudyStoppedError.

    Example:
        ::

            study = orthotune.ablate("components", seeds=[1, 2, 3])
            study.trials.groupby("group").val_error.mean()
    """
    import_plugins(imports)
    overrides = _named(overrides, name)
    if isinstance(file, Ablation):
        ablation = _as_read(file, overrides)
    else:
        ablation = read_ablation(found_file(file, "ablations"), overrides)
        command = command or _call("ablate", file, imports, overrides)
    _announce(ablation_overview(ablation))
    fingerprints = read_data(ablation.data())
    _rehearse(arm.fields for arm in ablation.all_arms)
    from orthotune.cluster.environment import prepare

    prepare()
    # As above.
    from orthotune.archive.loaded import LoadedStudy
    from orthotune.blocks.report import report_writer
    from orthotune.study.result import Locations
    from orthotune.study.run import run_study
    from orthotune.verdicts.findings import further_trials

    storage, uri = _storage(storage), tracking_uri or default_tracking_uri()
    locations = Locations.of(storage, uri, address, tensorboard)
    write = report_writer(ablation, fingerprints, command or "")
    more = further_trials(ablation, fingerprints)
    study = ablation.study(more, reuse=reuse)
    outcome = run_study(study, locations, fingerprints, write)
    _note_trace(outcome, "cells")
    if ablation.register is not None and outcome.finished and outcome.worked:
        outcome = _registered(ablation.register, outcome, locations.tracking_uri)
    return LoadedStudy(ablation.name, storage, outcome=outcome)


def train(
    config: File | TrialConfig | None = None,
    /,
    *,
    imports: Sequence[str] = (),
    save: str | os.PathLike[str] | None = None,
    curve: str | os.PathLike[str] | None = None,
    **overrides: object,
) -> "Trial":
    """Train one configuration to its end, on the GPU if there is one.

    Args:
        config: A file of dotted names such as a study's `best.yaml`, what it holds, a
            `TrialConfig`, or None for the defaults.
        imports: As for `search`.
        save: Where the network goes, as a file that plain torch reads: `NAME.pt2`,
            `NAME.safetensors` or `NAME.pt`, as `save_network` has them.
        curve: Where a figure of the training goes: `NAME.svg`, `NAME.png`, or
            `NAME.html` with a table of its metrics.
        **overrides: Fields that are set over it (`**{"model.depth": 20}`).

    Returns:
        The trial: its `metrics` are those of its last epoch, its `model` the network.

    Raises:
        FileError: If the file cannot be read, or holds what no field may; with its
            line.
        ConfigError: If a field is not allowed, or a batch does not fit into memory.
        TargetError: If a file to be written has no such name or no such folder; before
            anything is trained.
        DataError: If the data set cannot be loaded.

    Example:
        >>> small = {"model.depth": 8, "data.num_train": 64, "training.num_epochs": 1}
        >>> trial = train(small, seed=3)
        >>> trial.finished, trial.config.seed, "val_error" in trial.metrics
        (True, 3, True)
    """
    import_plugins(imports)
    wanted = read_config(config, overrides)
    save = None if save is None else check_target(save, NETWORK_SUFFIXES)
    curve = None if curve is None else check_target(curve, CURVE_SUFFIXES)
    # torch loads once the file is valid.
    from orthotune.training.epochs import train_to_end
    from orthotune.training.network_file import save_network

    trial, epochs = train_to_end(wanted, ProgressLine())
    if curve is not None:
        write_training_curve(curve, epochs, wanted)
    if save is not None:
        save_network(trial, save)
    return trial


def default_tracking_uri() -> str:
    """The MLflow store that is used where none is named."""
    return os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"


def read_config(
    config: File | TrialConfig | None, settings: Mapping[str, Any]
) -> TrialConfig:
    """A configuration with single fields set over it; as `train` takes them.

    Raises:
        FileError: As `train`.
        ConfigError: If a setting is not allowed.
    """
    if config is None or isinstance(config, TrialConfig):
        return configured(config, settings)
    return configured(found_file(config, "ablations"), settings)


def _rehearse(fields: Iterable[Mapping[str, Any]]) -> None:
    """Try what others have registered, if that is named; torch is loaded by then."""
    if plugins():
        from orthotune.training.rehearsal import rehearse

        rehearse(map(TrialConfig.from_dict, fields))


def _announce(lines: Sequence[str]) -> None:
    """Say what will be done, before anything that takes time."""
    note("\n".join(["this will run", *lines]))


def _named(overrides: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    return dict(overrides) if name is None else {**overrides, "name": name}


def _as_read(file: T, overrides: Mapping[str, Any]) -> T:
    if overrides:
        raise TypeError(f"What was read must not be overridden, but got {overrides}.")
    return file


def _storage(storage: str | os.PathLike[str]) -> str:
    return os.path.expanduser(os.fspath(storage))


def _call(
    function: str, file: File, imports: Sequence[str], overrides: Mapping[str, Any]
) -> str:
    """What runs the same again: a command, or a call where there is no file."""
    if isinstance(file, Mapping):
        more = f", imports={list(imports)!r}" if imports else ""
        more += f", **{dict(overrides)!r}" if overrides else ""
        return f"orthotune.{function}({dict(file)!r}{more})"
    words = ["python", "-m", f"orthotune.{function}", os.fspath(file)]
    words += [word for one in imports for word in ("--import", one)]
    for key, value in overrides.items():
        setting = ["--set", f"{key}={json.dumps(value, default=str)}"]
        words += ["--name", str(value)] if key == "name" else setting
    return shlex.join(words)


def _note_trace(outcome: "StudyResult[Any]", nouns: str) -> None:
    """Say what the first trials failed by; `nouns` is what they are called."""
    if outcome.trace is not None:
        alike = f"stopped, because the first {nouns} all failed in the same way."
        note(f"{alike}\n\n{outcome.trace}")


def _registered(
    name: str, outcome: "StudyResult[Written]", uri: str
) -> "StudyResult[Written]":
    """The outcome, with what came of registering the best network."""
    from orthotune.ablation.model_registry import register
    from orthotune.verdicts.findings import Findings

    findings = outcome.report.findings
    if not isinstance(findings, Findings):
        raise TypeError("An ablation with blocks must register nothing.")
    try:
        done = register(findings, name, outcome.checkpoints, uri, outcome.study_id)
    except Exception as err:  # MLflow's own have no common base
        why = first_line(err).rstrip(".")
        note(
            f"{name} must get a new version, but: {why}. The ablation is done; the "
            "same command tries again."
        )
        return dataclasses.replace(outcome, registered="")
    return dataclasses.replace(outcome, registered=done)
