"""MLflow's UI as a user starts it."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.crashes import HANGING_S, free_port


class Shown:
    """MLflow's UI, by the command that we print but for its port; gives its address.

    Args:
        command: What we print.
        folder: Where a shell runs it.
    """

    def __init__(self, command: str, folder: Path) -> None:
        self.port = free_port()
        port = f"--port {self.port} --workers 1"
        command, found = re.subn(r"--port \d+", port, command)
        assert found == 1
        self.log = folder.with_name("ui.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                shell=True,
                cwd=folder,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> str:
        server, end = f"http://127.0.0.1:{self.port}", time.monotonic() + HANGING_S
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            try:
                get(f"{server}/health")
                return server
            except OSError:
                time.sleep(0.1)

    def __exit__(self, *_error: object) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def get(address: str) -> bytes:
    """What a server answers."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()
