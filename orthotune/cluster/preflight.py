"""Checks of every node of a cluster before a study begins there.

Asked in seconds, before anything is created: versions, storage, data, room on the disk,
GPUs. A study that finds out later has lost hours.
"""

import contextlib
import itertools
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import ray
from ray.exceptions import GetTimeoutError, RayTaskError

import orthotune
from orthotune.cluster.node_checks import Check
from orthotune.cluster.node_requirements import CheckedNodes, NodeRequirements
from orthotune.cluster.nodes import (
    alive_nodes,
    as_started,
    gpus_of,
    name_of_node,
    only_on,
)
from orthotune.config.plugins import shipment, take
from orthotune.config.trial import TrialConfig
from orthotune.data.datasets import data_fingerprint, reads_anew
from orthotune.errors import ConfigError, DataError, PluginError, StudyError
from orthotune.readers.torchvision_reader import FETCH_WAIT_S
from orthotune.record.identity import Fingerprints
from orthotune.record.study_definition import Study
from orthotune.storage.folder import StorageFolder, is_remote, joined
from orthotune.storage.redaction import last_line, without_secrets
from orthotune.storage.scratch import scratch_folder
from orthotune.training.gpu import gpu_names

PACKAGES = ("ray", "torch")
ROOM_BYTES = 1 << 30
"""Of a node's temporary folder, in which Ray keeps its objects and logs."""

PROBE_WAIT_S = 120
"""For the slowest node, which may import torch from a network drive."""

READ_WAIT_S = 1800
"""For millions of image files, each of which is hashed and checked."""

LEAVING_S = 30
"""After which Ray has noticed that a node is dead."""

MARK = "driver"

NO_ANSWER = "none yet"
"""What was found of a node that is slower than `PROBE_WAIT_S`."""


def here() -> dict[str, str]:
    """The versions of this process."""
    python = ".".join(map(str, sys.version_info[:3]))
    # Not what is installed: the code can have come with the job.
    ours = {"python": python, "orthotune": orthotune.__version__}
    return ours | {name: version(name) for name in PACKAGES}


def look(expected: NodeRequirements, node: str, promised_gpus: float) -> list[Check]:
    """All checks of the node this runs on.

    Args:
        expected: What should be.
        node: What to call it.
        promised_gpus: GPUs that Ray says it has.
    """
    return [
        _versions(expected, node),
        *_plugins(expected, node),
        _storage(expected, node),
        *_data(expected, node),
        _room(node),
        *([_gpus(node, promised_gpus)] if expected.gpus and promised_gpus else []),
    ]


_FOUND: dict[str, str] = {}


def node_problem(checked_nodes: CheckedNodes | None) -> str:
    """Why this node is not fit for the study; an empty string if it is.

    Asked once a process, of nodes that have joined since the study began: a trial may
    be there before the driver has looked at it.
    """
    if checked_nodes is None:
        return ""
    node = ray.get_runtime_context().get_node_id()
    if node in checked_nodes.nodes:
        return ""
    mark = checked_nodes.expected.mark
    if mark not in _FOUND:
        name = f"{ray.util.get_node_ip_address()} ({node[:6]})"
        checks = [
            _versions(checked_nodes.expected, name),
            *_plugins(checked_nodes.expected, name),
            *_data(checked_nodes.expected, name),
        ]
        _FOUND[mark] = next((check.problem for check in checks if check.problem), "")
    return _FOUND[mark]


def _versions(expected: NodeRequirements, node: str) -> Check:
    found = here()
    other = [
        f"{name} {found[name]} and not {wanted}"
        for name, wanted in expected.versions.items()
        if found[name] != wanted
    ]
    shown = ", ".join(f"{name} {number}" for name, number in found.items())
    problem = (
        f"{node} must have the versions of the driver, but has {', '.join(other)}. "
        "Install the same there."
    )
    return Check(
        node=node, name="versions", found=shown, problem=problem if other else ""
    )


def _plugins(expected: NodeRequirements, node: str) -> list[Check]:
    """Import what others have registered."""
    if expected.plugins is None:
        return []
    problem = ""
    try:
        take(expected.plugins, scratch_folder())
    except PluginError as err:
        problem = f"{node} must import the driver's plug-ins, but: {err}"
    found = ", ".join([*expected.plugins.modules, *expected.plugins.installed])
    return [Check(node=node, name="plug-ins", found=found, problem=problem)]


def _storage(expected: NodeRequirements, node: str) -> Check:
    """Read what the driver wrote, and write."""
    folder = StorageFolder(joined(expected.storage, expected.probes))
    problem = ""
    shown = without_secrets(expected.storage)
    own = f"probe-{uuid.uuid4().hex[:8]}"
    try:
        content = folder.read(MARK)
        if content != expected.mark.encode():
            problem = (
                f"--storage must be seen by all nodes, but {node} does not find in "
                f"{shown} what the driver wrote. Give a shared folder, or a "
                "URI such as s3://..."
            )
        else:
            folder.write(own, b"")
            folder.delete(own)
    except OSError as err:
        problem = (
            f"--storage must be writable from all nodes, but {shown} is not "
            f"from {node}: {err.strerror or str(err).splitlines()[0]}. Free it there, "
            "or choose another one."
        )
    found = "" if problem else "read and written"
    return Check(node=node, name="storage", found=found, problem=problem)


def _data(expected: NodeRequirements, node: str) -> list[Check]:
    checks = []
    for fields, wanted in expected.data:
        name, problem, found = f"data {fields['data.name']}", "", ""
        try:
            config = TrialConfig.from_dict(fields).data
            found = data_fingerprint(replace(config, root=as_started(config.root)))
            if found != wanted:
                problem = (
                    f"{node} must have the data of the driver, but its {config.name} "
                    "is another. Copy it there."
                )
        except (DataError, ConfigError) as err:
            problem = f"{node} must have the data: {err}"
        checks.append(Check(node=node, name=name, found=found, problem=problem))
    return checks


def _room(node: str) -> Check:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    problem = (
        f"{node} must have {ROOM_BYTES / 1e9:.1f} GB free in {folder}, but has "
        f"{free / 1e9:.1f}. Make room there."
    )
    return Check(
        node=node,
        name="disk",
        found=f"{free / 1e9:.0f} GB free",
        problem=problem if free < ROOM_BYTES else "",
    )


def _gpus(node: str, promised: float) -> Check:
    seen = len(gpu_names())
    problem = (
        f"torch must see the {promised:g} GPUs that Ray promises on {node}, but sees "
        f"{seen}. Install a torch for its CUDA, or start Ray there with --num-gpus."
    )
    return Check(
        node=node,
        name="GPUs",
        found=f"{seen} of {promised:g} seen",
        problem=problem if seen < promised else "",
    )


def preflight(
    study: Study,
    storage: str,
    fingerprints: Fingerprints,
    nodes: Sequence[Mapping[str, Any]],
) -> list[Check]:
    """Look at nodes of the cluster this process is connected to.

    Args:
        study: What is to run.
        storage: Folder or URI under which it keeps its files; as it was, afterwards.
        fingerprints: Of every data set it names.
        nodes: Which, as Ray describes them.

    Returns:
        All checks, node by node.

    Raises:
        StudyError: If the driver itself cannot write to the storage.
    """
    expected = requirements_of(study, storage, fingerprints)
    folder = StorageFolder(joined(storage, expected.probes))
    made = _missing(storage)
    try:
        folder.write(MARK, expected.mark.encode())
        return _ask(expected, nodes)
    except OSError as err:
        raise StudyError(
            f"--storage must be writable, but {without_secrets(storage)}: "
            f"{err.strerror or str(err).splitlines()[0]}. Choose another one."
        ) from err
    finally:
        with contextlib.suppress(OSError):
            folder.clear()
        for path in made:
            with contextlib.suppress(OSError):  # another study begins in it
                path.rmdir()


def requirements_of(
    study: Study, storage: str, fingerprints: Fingerprints
) -> NodeRequirements:
    """What the nodes of a study are compared with, as this process has it."""
    return NodeRequirements(
        versions=here(),
        storage=storage,
        probes=f".preflight-{uuid.uuid4().hex[:8]}",
        mark=uuid.uuid4().hex,
        data=_data_of(study, fingerprints),
        gpus=study.settings.resources.gpus != 0,
        plugins=shipment(),
    )


def _missing(storage: str) -> list[Path]:
    """The folders of this machine that a first file in a storage makes, inner first."""
    path = storage
    if is_remote(storage):
        if not storage.startswith("file:"):
            return []
        _, path = pafs.FileSystem.from_uri(storage)
    around = (Path(path), *Path(path).parents)
    return list(itertools.takewhile(lambda folder: not os.path.exists(folder), around))


def _data_of(
    study: Study, fingerprints: Fingerprints
) -> list[tuple[Mapping[str, Any], str]]:
    if study.listed:
        fields = study.listed[0].fields
    else:
        fields = study.trial_fields(study.space.example())
    of_data = {name: v for name, v in fields.items() if name.startswith("data.")}
    return [
        ({**of_data, "data.name": name}, hash_) for name, hash_ in fingerprints.items()
    ]


def _ask(expected: NodeRequirements, nodes: Sequence[Mapping[str, Any]]) -> list[Check]:
    task = ray.remote(look)
    asked = {}
    for node in nodes:
        how = task.options(num_cpus=0, scheduling_strategy=only_on(node), max_retries=0)
        asked[how.remote(expected, name_of_node(node), gpus_of(node))] = node
    wait_s = patience_s([fields for fields, _ in expected.data])
    ray.wait(list(asked), num_returns=len(asked), timeout=wait_s)
    noticed = time.monotonic() + LEAVING_S
    return [c for ref, node in asked.items() for c in _answer(ref, node, noticed)]


def patience_s(data: Sequence[Mapping[str, Any]]) -> float:
    """How long nodes may look at data sets, each named by fields of a trial.

    Example:
        >>> patience_s([{}]), patience_s([{}, {"data.name": "image_folder"}])
        (120, 1920)
    """
    configs = [TrialConfig.from_dict(fields).data for fields in data]
    fetches = any(config.download for config in configs)
    many = any(map(reads_anew, configs))
    return PROBE_WAIT_S + FETCH_WAIT_S * fetches + READ_WAIT_S * many


def _answer(
    ref: "ray.ObjectRef", node: Mapping[str, Any], noticed: float
) -> list[Check]:
    name = name_of_node(node)
    if not ray.is_initialized():  # `ray.get` would start one
        raise StudyError("Ray must stay up while nodes are looked at, but it stopped.")
    try:
        return ray.get(ref, timeout=0)
    except Exception as err:  # Ray's own, of many kinds
        failed_there = isinstance(err, RayTaskError)
        if not failed_there and _leaves(node, noticed):  # as nodes may, at any time
            return [Check(node=name, name="answer", found="has left the cluster")]
        problem = (
            f"{name} must answer, with orthotune installed, but: {last_line(err)}. "
            "Install the driver's environment there."
        )
        late = isinstance(err, GetTimeoutError)
        found = NO_ANSWER if late else ""
        return [Check(node=name, name="answer", found=found, problem=problem)]


def _leaves(node: Mapping[str, Any], noticed: float) -> bool:
    """Whether a node that does not answer is gone, as Ray has noticed by then."""
    while any(other["NodeID"] == node["NodeID"] for other in alive_nodes()):
        if time.monotonic() > noticed:
            return False
        time.sleep(0.5)
    return True
