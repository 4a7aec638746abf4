"""Studies that are killed and continued, and what is compared with one that was not.

Used by the tests (a handful of kills) and by `make soak` (many).
"""

import contextlib
import http.server
import json
import os
import random
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.namespaces import Hosts
from tests.small import TIMINGS

STUDY = """\
name: killed
search:
  {num_trials: 8, max_epochs: 8, grace_epochs: 1, reduction_factor: 2, seed: 3,
   max_concurrent: 1}
fixed:
  model.depth: 8
  data.batch_size: 32
space:
  optimizer.lr: {type: float, low: 1e-3, high: 3, log: true}
  regularizer.coeff: {type: float, low: 1e-4, high: 10, log: true}
"""
HANGING_S = 600
"""A command that takes longer hangs; what is slow only is given its time."""

TOO_SLOW = "timed out during startup"
"""What Ray says of a node that had not started after half a minute, its fixed limit."""

STATUSES = {"finished": "FINISHED", "stopped": "FINISHED", "diverged": "FAILED"}


def command(
    folder: Path,
    *arguments: str,
    module: str = "orthotune.search",
    on: Sequence[str] = (),
) -> subprocess.Popen:
    """A command as a user types it, in a process of its own; `on` comes before it."""
    return subprocess.Popen(
        [*on, sys.executable, "-m", module, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
        start_new_session=True,  # a terminal's Ctrl-C reaches a whole process group
    )


def ended(process: subprocess.Popen) -> tuple[str, str]:
    """What a command has printed, once it has ended; one that hangs is killed."""
    try:
        return process.communicate(timeout=HANGING_S)
    except subprocess.TimeoutExpired:
        kill_session(process.pid)
        raise


def runs_of(folder: Path, name: str) -> tuple[MlflowClient, Run, list[Run]]:
    """A client of the folder's store; the parent run of a study, and its trials'."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id])
    (parent,) = [r for r in found if r.data.tags["orthotune.kind"] == "study"]
    trials = [r for r in found if r.data.tags["orthotune.kind"] == "trial"]
    return client, parent, trials


class Workplace:
    """A folder in which one study is run, by the command a user types.

    Args:
        folder: The folder.
        more: More arguments of the command.
        on: What comes before it.
    """

    def __init__(self, folder: Path, *more: str, on: Sequence[str] = ()) -> None:
        self.folder = folder
        self.more = more
        self.on = on
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "killed.yaml").write_text(STUDY)

    def start(self) -> subprocess.Popen:
        """The command, in a process of its own."""
        return command(self.folder, "killed.yaml", *self.more, on=self.on)

    def finish(self, limit: int = 12) -> str:
        """Type the command again until it exits 0; what it printed then."""
        for _ in range(limit):
            process = self.start()
            out, err = ended(process)
            if process.returncode == 0:
                return out
            assert process.returncode in (1, 130), (process.returncode, err)
        raise AssertionError(f"not finished after {limit} sessions: {err}")

    @property
    def study(self) -> Path:
        """The study's folder."""
        return study_in(self.folder, "killed")

    @property
    def record(self) -> Path:
        """The study's event log."""
        return self.study / "record.jsonl"

    def events(self, kind: str) -> int:
        """How many events of a kind the log holds so far."""
        if not self.record.exists():
            return 0
        return self.record.read_text().count(f'"event":"{kind}"')

    def wait_for(self, kind: str, count: int, process: subprocess.Popen) -> None:
        """Until the log holds so many events of a kind, or the process has ended."""
        while self.events(kind) < count and process.poll() is None:
            time.sleep(0.02)

    def trials(self) -> list[dict]:
        """Every trial as the study's files tell it, without what measures time."""
        return read_trials(self.study / "trials.jsonl")


def study_in(folder: Path, name: str) -> Path:
    """The folder of a study; of a storage by URI that of this machine."""
    root = folder / "studies"
    return next(root.glob(f"*/{name}"), root / name)


def read_trials(path: Path) -> list[dict]:
    """The trials in a study's file, without what measures time."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for trial in found:
        histories = trial["history"], trial.get("audit", {})
        for metrics in (one for history in histories for one in history.values()):
            for name in TIMINGS:
                del metrics[name]
    return found


def processes(session: int, name: str) -> list[int]:
    """Processes of a session whose command line holds a name."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            pid = int(entry.name)
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if os.getsid(pid) == session and name in command:
                found.append(pid)
        except (ValueError, OSError):
            continue
    return found


def kill_session(session: int) -> None:
    """SIGKILL all processes of a session."""
    for pid in processes(session, ""):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    """A port nobody listens on, and that no connection is given by the system."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """An MLflow server, which can be killed and started again.

    Args:
        folder: Of its files.
        workers: Processes that answer.
        store: Its database; by default a SQLite file.
        host: The address it listens on.
    """

    def __init__(
        self,
        folder: Path,
        workers: int = 1,
        store: str | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.folder = folder
        self.workers = workers
        self.host = host
        self.uri = f"http://{host}:{self.port}"
        self.store = store or f"sqlite:///{folder}/server.db"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = f"-m mlflow server --backend-store-uri {self.store}"
        words += f" --artifacts-destination {self.folder}/artifacts"
        words += f" --workers {self.workers}"
        words += f" --host {self.host} --port {self.port}"
        words += f" --allowed-hosts {self.host}:{self.port}"
        log = self.folder / "server.log"
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, *words.split()],
                cwd=self.folder,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        deadline = time.monotonic() + HANGING_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(log.read_text())

    def kill(self) -> None:
        """SIGKILL it and its workers; one that is dead already is no error."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[str]:
    """The URI of a server, which runs meanwhile."""
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def answering(version: str, wanted: str | None = None) -> Iterator[str]:
    """The URI of a server that is well, and says which MLflow it is.

    To everyone, or only to whom shows the wanted credentials.
    """

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/version" and self.headers["Authorization"] != wanted:
                self.send_error(401)
                return
            body = {"/health": b"OK", "/version": version.encode()}.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    with serving(http.server.HTTPServer(("127.0.0.1", 0), Health)) as uri:
        yield uri


class Cluster:
    """A head that computes nothing, and nodes that do, on this machine.

    Args:
        nodes: How many.
        dashboard: Whether the head serves jobs, at `jobs`.
        hosts: Where head and nodes are, one each; by default on one host.
        cpus: CPU cores that each node says it has.
        gpus: GPUs, likewise.
        env: Variables in the environment of the nodes.

    Attributes:
        address: Of the head.
        folder: Of Ray's files on all nodes, its logs among them.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        dashboard: bool = False,
        hosts: Hosts | None = None,
        cpus: int = 1,
        gpus: int = 0,
        **env: str,
    ) -> None:
        # Not where Ray notes the last cluster of this machine, for every later script;
        # short, as sockets' names may have 107 characters.
        self.folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
        self._port = free_port()
        self._hosts = hosts
        here = hosts.address(0) if hosts else "127.0.0.1"
        self.address = f"{here}:{self._port}"
        head = ["--head", "--port", str(self._port), "--temp-dir", self.folder]
        head += ["--include-dashboard", str(dashboard).lower()]
        if dashboard:
            port = free_port()
            self.jobs = f"http://127.0.0.1:{port}"
            head += ["--dashboard-host", "127.0.0.1", "--dashboard-port", str(port)]
        self._nodes: list[subprocess.Popen] = []
        self._head = self._start(0, *head, "--num-cpus", "0")
        for _ in range(nodes):
            self.add_node(cpus, gpus, **env)
        if dashboard:
            self._wait_for_jobs()

    def add_node(self, cpus: int = 1, gpus: int = 0, **env: str) -> None:
        """Start a node, with variables in its environment."""
        # Of its own, as on a machine of its own: nodes unpack the code of jobs there.
        own = f"{self.folder}/{len(self._nodes)}"
        words = ("--address", self.address, "--num-cpus", str(cpus))
        words += ("--num-gpus", str(gpus), "--temp-dir", own)
        self._nodes.append(self._start(len(self._nodes) + 1, *words, **env))

    def kill_node(self, index: int = -1) -> None:
        """SIGKILL the raylet of a node; its workers die with it."""
        for pid in processes(self._nodes[index].pid, "/raylet "):
            os.kill(pid, signal.SIGKILL)

    def busy(self) -> list[bool]:
        """Of each node, whether a trial is on it."""
        return [bool(processes(n.pid, "ray::ResourceTrainable")) for n in self._nodes]

    def stop(self) -> None:
        """Kill head and nodes."""
        for process in (*self._nodes, self._head):
            kill_session(process.pid)
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_for_jobs(self) -> None:
        # `ray start` returns before the head's agent, which starts jobs, is there.
        ray = str(Path(sys.executable).with_name("ray"))
        probe = [ray, "job", "submit", "--address", self.jobs, "--", "true"]
        for _ in range(60):
            done = subprocess.run(
                probe,
                env={**os.environ, "RAY_AUTH_MODE": "token"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=HANGING_S,
                check=False,
            )
            if done.returncode == 0:
                return
            time.sleep(1)
        raise AssertionError(done.stdout)

    def _start(
        self, number: int, *words: str, again: bool = True, **env: str
    ) -> subprocess.Popen:
        start = [str(Path(sys.executable).with_name("ray")), "start"]
        # Ray's own default is one port; an agent that finds it taken starts no job.
        more = ["--dashboard-agent-listen-port", str(free_port())]
        if self._hosts:
            start = [*self._hosts.on(number), *start]
            more += ["--node-ip-address", self._hosts.address(number)]
        process = subprocess.Popen(
            [*start, *words, *more, "--block", "--disable-usage-stats"],
            env={**os.environ, "RAY_AUTH_MODE": "token", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said = ""
        for line in process.stdout:
            said += line
            if "will now block forever" in line:
                return process
        kill_session(process.pid)
        if again and TOO_SLOW in said:  # the machine was busy
            return self._start(number, *words, again=False, **env)
        raise AssertionError(said)


def kill_driver(process: subprocess.Popen) -> None:
    """SIGKILL the command itself, as `kill -9` does."""
    os.kill(process.pid, signal.SIGKILL)
    ended(process)


def interrupt(process: subprocess.Popen) -> None:
    """Ctrl-C."""
    os.kill(process.pid, signal.SIGINT)
    ended(process)


def end_everything(process: subprocess.Popen) -> None:
    """SIGTERM to the command and all that it has started, as Slurm and systemd do."""
    for pid in processes(process.pid, ""):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    ended(process)


def kill_worker(process: subprocess.Popen) -> None:
    """SIGKILL what trains; the driver goes on."""
    for pid in processes(process.pid, "ray::ResourceTrainable"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def assert_the_same(ours: Workplace, reference: Workplace) -> None:
    """The same trials, histories and statuses, the same best, and nothing left over."""
    assert ours.trials() == reference.trials()
    best = [work.study / "best.yaml" for work in (ours, reference)]
    lines = [
        [line for line in path.read_text().splitlines() if "Again:" not in line]
        for path in best
    ]
    assert lines[0] == lines[1]
    kept = [
        sorted(path.name for path in work.study.rglob("*.*"))
        for work in (ours, reference)
    ]
    assert kept[0] == kept[1]


def assert_mlflow_agrees(ours: Workplace, uri: str) -> None:
    """One run a trial, closed, with every epoch of it once; one parent."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("killed")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [r for r in runs if r.data.tags["orthotune.kind"] == "study"]
    assert [run.info.status for run in parents] == ["FINISHED"]
    children = {
        int(run.data.tags["orthotune.trial"]): run
        for run in runs
        if run.data.tags["orthotune.kind"] == "trial"
    }
    trials = ours.trials()
    assert len(runs) == 1 + len(children) == 1 + len(trials)
    for trial in trials:
        run = children[trial["number"]]
        assert run.info.status == STATUSES[trial["status"]]
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        for name in ("val_error", "diverged", "epoch_time_s"):
            history = client.get_metric_history(run.info.run_id, name)
            steps = [metric.step for metric in history]
            assert steps == sorted(map(int, trial["history"])), (trial["number"], name)
        audit = client.get_metric_history(run.info.run_id, "audit/val_error")
        steps = [metric.step for metric in audit]
        assert steps == sorted(map(int, trial.get("audit", ()))), trial["number"]
        values = client.get_metric_history(run.info.run_id, "val_loss")
        for metric in values:
            assert metric.value == trial["history"][str(metric.step)]["val_loss"]
    best = client.get_metric_history(parents[0].info.run_id, "best_val_error")
    assert len(best) == len({metric.step for metric in best})
