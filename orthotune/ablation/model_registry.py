"""The best arm's best network in MLflow's model registry."""

import math
import statistics
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from orthotune.data.datasets import load_dataset
from orthotune.errors import StudyError
from orthotune.record.checkpoints import CheckpointFolder, checkpoint_name
from orthotune.record.trial_record import Status
from orthotune.tracking.run_search import of_study
from orthotune.training.classifier import trained_classifier
from orthotune.verdicts.findings import Findings
from orthotune.verdicts.replicates import Replicate

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
ARTIFACT = "model"
USE = (
    "Takes float32 images `(B, C, H, W)` as the data set has them, normalizes them, "
    "gives logits: `mlflow.pytorch.load_model('models:/{name}@{alias}')(images)`. "
    "The arm has the smallest mean, and the network the smallest value of the arm's "
    "seeds: what it is worth on other data, its validation error does not say."
)


def best_replicate(findings: Findings) -> tuple[str, Replicate] | None:
    """The best cell of the arm with the smallest mean, and the name of the arm.

    Arms that were tuned anew count, too.

    Args:
        findings: What was found.

    Returns:
        None if no cell ran to its end.
    """
    arms: dict[str, list[Replicate]] = {}
    for one in (findings, findings.again):
        if one is not None:
            for arm in one.ablation.arms:
                arms[arm.group] = list(one.arms[arm.name])
    means = {
        name: statistics.fmean(item.value for item in own) if own else math.inf
        for name, own in arms.items()
    }
    best = min(means, key=lambda name: means[name])
    whole = [r for r in arms[best] if r.record.status == Status.FINISHED]
    return (best, min(whole, key=lambda item: item.value)) if whole else None


def register(
    findings: Findings,
    name: str,
    checkpoints: CheckpointFolder,
    tracking_uri: str,
    study_id: str,
) -> str:
    """Register the best network as a version of a model, with the alias `ALIAS`.

    Once: what is registered already is found, and only given the alias, if there is no
    later version.

    Args:
        findings: What was found.
        name: Of the model.
        checkpoints: Where its state was kept.
        tracking_uri: MLflow's store.
        study_id: The study that trained it.

    Returns:
        What was done, in words.

    Raises:
        StudyError: If there is no network to register.
        Exception: MLflow's own, which have no common base, if it does not answer.
    """
    found = best_replicate(findings)
    if found is None:
        raise StudyError("No cell of the best arm ran to its end without diverging")
    arm, best = found
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri)
    tags = {
        "orthotune.study": findings.ablation.name,
        "orthotune.study_id": study_id,
        "orthotune.key": best.record.key,
        "arm": arm,
        "seed": str(best.seed),
        findings.ablation.metric: repr(best.value),
    }
    found_version = _existing(client, name, tags)
    if found_version is None:
        run = _run(client, tags)
        _log_model(client, run, checkpoints, best)
        found_version = _new_version(client, name, run, tags, findings)
    number = str(found_version.version)
    # Who looks at an old ablation again does not take a later one's place.
    is_champion = number == _newest(client, name)
    if is_champion:
        client.set_registered_model_alias(name, ALIAS, number)
    return (
        f"{name}, version {number}{f' ({ALIAS})' if is_champion else ''}: {arm}, "
        f"seed {best.seed}, {findings.ablation.metric} {best.value:.4f}"
    )


def _newest(client: "MlflowClient", name: str) -> str:
    versions = client.search_model_versions(f"name='{name}'")
    return str(max(int(one.version) for one in versions))


def _existing(
    client: "MlflowClient", name: str, tags: Mapping[str, str]
) -> "ModelVersion | None":
    same = ("orthotune.study_id", "orthotune.key")
    for one in client.search_model_versions(f"name='{name}'"):
        if all(one.tags.get(tag) == tags[tag] for tag in same):
            return one
    return None


def _run(client: "MlflowClient", tags: Mapping[str, str]) -> "Run":
    """The cell's run."""
    experiment = client.get_experiment_by_name(tags["orthotune.study"])
    runs = client.search_runs(
        [experiment.experiment_id] if experiment else [],
        f"{of_study(tags['orthotune.study_id'])} and "
        f"tags.`orthotune.key` = '{tags['orthotune.key']}'",
    )
    if not runs:
        raise StudyError("The best cell must have its run in MLflow, but has none yet")
    return runs[0]


def _log_model(
    client: "MlflowClient", run: "Run", checkpoints: CheckpointFolder, best: Replicate
) -> None:
    """Put the network beside its run, in a format whose loading runs no code."""
    import mlflow.pytorch
    import torch

    file = checkpoint_name(best.record.name)
    state = checkpoints.load(file)
    if state is None:
        raise StudyError(
            f"{checkpoints.place(file)} must hold the best network, but is not there. "
            "`register` must be in the file when the ablation begins: run it anew with "
            "--name"
        )
    classifier = trained_classifier(state["trial"])
    images = load_dataset(classifier.config.data).val.first(2).images.float()
    packages = (f"torch=={version('torch')}", f"numpy=={version('numpy')}")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about tensors that share memory
        with torch.no_grad():
            mlflow.pytorch.save_model(
                classifier,
                f"{folder}/{ARTIFACT}",
                input_example=images.numpy(),
                pip_requirements=list(packages),
                serialization_format="pt2",
            )
        client.log_artifacts(run.info.run_id, f"{folder}/{ARTIFACT}", ARTIFACT)


def _new_version(
    client: "MlflowClient",
    name: str,
    run: "Run",
    tags: Mapping[str, str],
    findings: Findings,
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    use = USE.format(name=name, alias=ALIAS)
    return client.create_model_version(
        name,
        f"runs:/{run.info.run_id}/{ARTIFACT}",
        run_id=run.info.run_id,
        tags=dict(tags),
        description=f"{findings.ablation.question}\n\n{use}",
    )
