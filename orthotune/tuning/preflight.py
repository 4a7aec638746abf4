"""What must hold on every node of a cluster before a study begins there.

Asked in seconds, before anything is created: versions, storage, data, room on the disk,
GPUs. A study that finds out later has lost hours.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import orthotune
from orthotune.errors import DataError, StudyError
from orthotune.training.config import DataConfig, TrialConfig
from orthotune.training.data import data_fingerprint
from orthotune.tuning.identity import Fingerprints
from orthotune.tuning.secrets import without_secrets
from orthotune.tuning.settings import Study
from orthotune.tuning.storage import StorageFolder, is_remote, joined
from orthotune.tuning.table import aligned, counted

PACKAGES = ("ray", "torch")
ROOM_BYTES = 1 << 30
"""Of a node's temporary folder, in which Ray keeps its objects and logs."""

PROBE_WAIT_S = 120
"""For the slowest node, which may import torch from a network drive."""

LEAVING_S = 30
"""After which Ray has noticed that a node is dead."""

MARK = "driver"
COUNT_GPUS = "import torch; print(torch.cuda.device_count())"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was asked of one node.

    Args:
        node: Its address.
        name: What was asked.
        found: What there is.
        problem: What is wrong and what to do, a sentence; nothing if all is well.
    """

    node: str
    name: str
    found: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a node is compared with.

    Args:
        versions: Of Python, orthotune and `PACKAGES`, as the driver has them.
        storage: A folder in the study's storage.
        mark: What the driver has written there, in the file `MARK`.
        data: The data sets and their fingerprints.
        gpus: GPUs of a trial.
    """

    versions: Mapping[str, str]
    storage: str
    mark: str
    data: Mapping[DataConfig, str]
    gpus: float


def here() -> dict[str, str]:
    """The versions of this process."""
    python = ".".join(map(str, sys.version_info[:3]))
    # Not what is installed: the code can have come with the job.
    ours = {"python": python, "orthotune": orthotune.__version__}
    return ours | {name: version(name) for name in PACKAGES}


def look(expected: Expected, node: str, promised_gpus: float) -> list[Check]:
    """All checks of the node this runs on.

    Args:
        expected: What should be.
        node: What to call it.
        promised_gpus: GPUs that Ray says it has.
    """
    return [
        _versions(expected, node),
        _storage(expected, node),
        *_data(expected, node),
        _room(node),
        *([_gpus(node, promised_gpus)] if expected.gpus and promised_gpus else []),
    ]


def _versions(expected: Expected, node: str) -> Check:
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


def _storage(expected: Expected, node: str) -> Check:
    """Read what the driver wrote, and write."""
    folder, problem = StorageFolder(expected.storage), ""
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


def _data(expected: Expected, node: str) -> list[Check]:
    checks = []
    for config, wanted in expected.data.items():
        name, problem, found = f"data {config.name}", "", ""
        try:
            found = data_fingerprint(config)
            if found != wanted:
                problem = (
                    f"{node} must have the data of the driver, but its {config.name} "
                    "is another. Copy it there."
                )
        except DataError as err:
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
    """In a process of its own: Ray hides the GPUs from a task that holds none."""
    hidden = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
    env = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_GPUS],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    seen = int(done.stdout) if done.returncode == 0 else 0
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


def preflight(study: Study, storage: str, fingerprints: Fingerprints) -> list[Check]:
    """Look at every node of the cluster this process is connected to.

    Args:
        study: What is to run.
        storage: Folder or URI under which it keeps its files; as it was, afterwards.
        fingerprints: Of every data set it names.

    Returns:
        All checks, node by node.

    Raises:
        StudyError: If the driver itself cannot write to the storage.
    """
    probes = joined(storage, f".preflight-{uuid.uuid4().hex[:8]}")
    folder, mark = StorageFolder(probes), uuid.uuid4().hex
    is_new = not is_remote(storage) and not Path(storage).exists()
    try:
        folder.write(MARK, mark.encode())
        expected = Expected(
            versions=here(),
            storage=probes,
            mark=mark,
            data=_data_of(study, fingerprints),
            gpus=study.settings.resources.gpus,
        )
        return _ask(expected)
    except OSError as err:
        raise StudyError(
            f"--storage must be writable, but {without_secrets(storage)}: "
            f"{err.strerror or str(err).splitlines()[0]}. Choose another one."
        ) from err
    finally:
        with contextlib.suppress(OSError):
            folder.clear()
            if is_new:
                Path(storage).rmdir()


def _data_of(study: Study, fingerprints: Fingerprints) -> dict[DataConfig, str]:
    if study.listed:
        fields = study.listed[0].fields
    else:
        fields = study.trial_fields(next(study.space.corners(1)))
    config = TrialConfig.from_dict(fields).data
    return {replace(config, name=name): hash_ for name, hash_ in fingerprints.items()}


def _ask(expected: Expected) -> list[Check]:
    task = ray.remote(look)
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            here_only, name = _only_on(node), _name(node)
            promised = node["Resources"].get("GPU", 0)
            how = task.options(num_cpus=0, scheduling_strategy=here_only, max_retries=0)
            asked[how.remote(expected, name, promised)] = node
    ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_WAIT_S)
    return [check for ref, node in asked.items() for check in _answer(ref, node)]


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})"


def _only_on(node: Mapping[str, Any]) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)


def _answer(ref: "ray.ObjectRef", node: Mapping[str, Any]) -> list[Check]:
    name = _name(node)
    try:
        return ray.get(ref, timeout=0)
    except Exception as err:  # Ray's own, of many kinds
        if _leaves(node):  # as nodes may, at any time
            return [Check(node=name, name="answer", found="has left the cluster")]
        reason = (str(err).strip().splitlines() or [repr(err)])[-1].rstrip(".")
        problem = (
            f"{name} must answer, with orthotune installed, but: {reason}. Install "
            "the driver's environment there."
        )
        return [Check(node=name, name="answer", found="", problem=problem)]


def _leaves(node: Mapping[str, Any]) -> bool:
    """Whether a node that does not answer is gone, as Ray notices after a while."""
    end = time.monotonic() + LEAVING_S
    while time.monotonic() < end:
        if not any(n["Alive"] for n in ray.nodes() if n["NodeID"] == node["NodeID"]):
            return True
        time.sleep(0.5)
    return False


def table(checks: Sequence[Check]) -> str:
    """The checks as text, a line each."""
    rows = [["node", "check", "found", "verdict"]]
    rows += [
        [c.node, c.name, c.found or "-", "failed" if c.problem else "ok"]
        for c in checks
    ]
    return aligned(rows)


def refuse(checks: Sequence[Check]) -> None:
    """Raise what the first failed check says.

    Raises:
        StudyError: If one failed.
    """
    failed = [check.problem for check in checks if check.problem]
    if failed:
        more = f" (And {counted(len(failed) - 1, 'check')} more.)"
        raise StudyError(failed[0] + (more if failed[1:] else ""))
