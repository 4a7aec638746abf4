"""What lies in `cluster/`, as far as the tools' own parsers and schemas can tell."""

import importlib.metadata
import re
import shlex
import subprocess
import warnings
from pathlib import Path

import click
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli, start
from ray.scripts.symmetric_run import symmetric_run

from orthotune.commands.search import COMMAND
from orthotune.storage.folder import is_remote

FOLDER = Path(__file__).parents[1] / "cluster"


def release(package):
    return ".".join(importlib.metadata.version(package).split(".")[:2])


RAY, MLFLOW = release("ray"), release("mlflow")


def read(name):
    return yaml.safe_load((FOLDER / name).read_text())


def parsed(command, words):
    """A command line, by the command's own parser; an unknown option is an error."""
    return command.make_context(command.name or "_", list(words)).params


def searches(words):
    """The options of the search that a command line ends in."""
    module = words.index("orthotune.search")
    assert words[module - 2 : module] == ["python", "-m"]
    return COMMAND.parser("search").parse_args(words[module + 1 :])


def test_the_launcher_accepts_its_file():
    config = read("ray_cluster.yaml")
    validate_config(prepare_config(config))
    kinds = config["available_node_types"]
    assert kinds[config["head_node_type"]]["resources"] == {"CPU": 0}
    assert kinds["gpu_worker"]["resources"]["GPU"] == 1
    assert kinds["gpu_worker"]["min_workers"] == 0
    setup = " ".join(config["setup_commands"])
    assert f"ray[default]=={RAY}.*" in setup
    assert "boto3" in setup  # by which the head's autoscaler starts nodes
    for image in (config["docker"]["head_image"], config["docker"]["worker_image"]):
        tag = re.fullmatch(r"rayproject/ray:(\d+\.\d+)\.\d+-py3(\d+)(-gpu)?", image)
        assert tag is not None
        assert tag[1] == RAY
        assert int(tag[2]) >= 11  # which orthotune requires
    assert all(place.startswith("/home/ray/") for place in config["file_mounts"])


@pytest.mark.parametrize("role", ["head", "worker"])
def test_the_launcher_starts_ray_with_options_it_knows_and_a_token(role):
    *_, line = read("ray_cluster.yaml")[f"{role}_start_ray_commands"]
    mode, *words = shlex.split(line)
    assert mode == "RAY_AUTH_MODE=token"
    assert words[:2] == ["ray", "start"]
    options = parsed(start, words[2:])
    assert options["head"] == (role == "head")
    assert options["dashboard_host"] in ("127.0.0.1", "localhost", None)
    mounts = read("ray_cluster.yaml")["file_mounts"]
    assert "/home/ray/.ray/auth_token" in mounts


def test_the_launcher_would_refuse_a_key_it_does_not_know():
    with pytest.raises(Exception, match="typo"):  # jsonschema's, no dependency of ours
        validate_config(prepare_config({**read("ray_cluster.yaml"), "typo": 1}))


def test_the_job_of_kubernetes_runs_a_search_with_places_all_nodes_see():
    job = read("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    options = searches(shlex.split(spec["entrypoint"]))
    assert options.address == "auto"
    assert is_remote(options.storage)
    assert options.tracking_uri.startswith("http://")
    assert spec["backoffLimit"] > 0
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"].startswith(f"{RAY}.")
    (root,) = [s.partition("=")[2] for s in options.set if s.startswith("data.root=")]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        for container in group["template"]["spec"]["containers"]:
            assert f"ray{cluster['rayVersion']}" in container["image"]
            assert container["envFrom"] == [
                {"secretRef": {"name": "orthotune-storage"}}
            ]
            assert "env" not in container  # no value of a secret in the file
            # The driver, on the head, reads the data as well.
            (mount,) = container["volumeMounts"]
            assert mount["mountPath"] == root
            (volume,) = group["template"]["spec"]["volumes"]
            assert volume["name"] == mount["name"]
        words = [f"--{k}={v}" for k, v in group["rayStartParams"].items()]
        parsed(start, ["--head", *words])


@pytest.mark.parametrize(("gpus", "number"), [("1", 1), ("8", 8), ("a100:4", 4)])
def test_the_script_for_slurm_is_a_script_with_options_ray_knows(
    tmp_path, gpus, number
):
    path = FOLDER / "slurm.sh"
    subprocess.run(["bash", "-n", path], check=True)
    text = path.read_text()
    settings = re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", text, re.MULTILINE)
    assert len(settings) == text.count("\n#SBATCH")
    assert {"nodes", "ntasks-per-node", "gpus-per-task"} <= dict(settings).keys()
    assert dict(settings)["ntasks-per-node"] == "1"  # Ray starts once a node
    assert "exclusive" in dict(settings)  # and refuses to beside another
    ran = tmp_path / "ran"
    for name, body in {
        "ray": f'[ "$1" = get-auth-token ] || '
        f'printf "%s\\n" "$SRUN_CPUS_PER_TASK" "$@" > {ran}',
        "scontrol": "printf 'node1\\nnode2\\n'",
        "srun": 'shift; exec "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": "http://head:5000",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_ID": "123456",
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "8",
        "SLURM_GPUS_PER_TASK": gpus,
    }
    words = ["bash", str(path), "a study.yaml", "--set", "search.num_trials=3"]
    subprocess.run(words, check=True, env=env)
    cpus, command, *given = ran.read_text().splitlines()
    assert cpus == "8"
    assert command == "symmetric-run"
    assert cli.commands[command] is symmetric_run
    own = parsed(symmetric_run, given)
    assert (own["address"], own["min_nodes"]) == ("node1:23456", 2)
    after = given.index("--")
    starting = given[given.index("--num-cpus") : after]
    assert parsed(start, ["--head", *starting])["num_gpus"] == number
    options = searches(given[after + 1 :])
    assert (options.file, options.address) == ("a study.yaml", "auto")
    assert options.set == ["search.num_trials=3"]

    missing = {k: v for k, v in env.items() if k != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        words, env=missing, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "must be the address of an MLflow server" in done.stderr


def test_mlflow_is_published_on_this_machine_only_and_its_password_is_not_written():
    with warnings.catch_warnings(action="ignore"):  # of parts of it nobody uses
        from mlflow.cli import server
    config = read("mlflow-compose.yaml")
    database, tracking = config["services"]["database"], config["services"]["mlflow"]
    assert "ports" not in database
    assert tracking["ports"] == ["127.0.0.1:5000:5000"]
    assert tracking["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert database["environment"]["POSTGRES_PASSWORD"].startswith(
        "${POSTGRES_PASSWORD:?"
    )
    uri = tracking["environment"]["MLFLOW_BACKEND_STORE_URI"]
    assert ":${POSTGRES_PASSWORD}@database/" in uri
    assert f"mlflow=={MLFLOW}.*" in tracking["build"]["dockerfile_inline"]
    words = shlex.split(tracking["command"])
    assert words[:2] == ["mlflow", "server"]
    assert parsed(server, words[2:])["workers"] == "2"
    (option,) = [o for o in server.params if o.name == "backend_store_uri"]
    assert isinstance(option, click.Option)
    assert option.envvar == "MLFLOW_BACKEND_STORE_URI"
    for service in config["services"].values():
        for volume in service["volumes"]:
            assert volume.split(":")[0] in config["volumes"]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda p: p.name)
def test_nothing_here_is_a_secret_or_open_to_all(path):
    text = path.read_text()
    assert not re.search(
        r"(?i)(password|secret_access_key|token)\s*[:=]\s*['\"]?\w{8}", text
    )
    if path.name != "mlflow-compose.yaml":  # inside a container, published above
        assert "0.0.0.0" not in text
    assert "trust" not in text
