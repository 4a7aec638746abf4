"""A PostgreSQL server of its own, by Debian's package, in a folder that goes away."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.crashes import HANGING_S, free_port

USER = "postgres"
PASSWORD = "planted-database-secret"


def tools() -> Path | None:
    """The folder of the newest server's programs; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Postgres:
    """The server, with one database; it does not run as root, which it refuses."""

    def __init__(self) -> None:
        self._bin = tools()
        self._as = {"user": USER} if os.geteuid() == 0 else {}
        self._folder = tempfile.mkdtemp(prefix="postgres-", dir="/tmp")
        secret = Path(self._folder, "password")
        secret.write_text(PASSWORD)
        os.chmod(secret, 0o644)
        if self._as:
            shutil.chown(self._folder, USER)
        data, port = f"{self._folder}/data", free_port()
        init = f"initdb -D {data} -U {USER} -A scram-sha-256 --pwfile {secret} -N"
        self._run(init)
        how = f"-h 127.0.0.1 -p {port} -k {self._folder} -F"
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", data, *how.split()],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )
        self.uri = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
        end = time.monotonic() + HANGING_S
        while not self._ready(port):
            assert time.monotonic() < end, "PostgreSQL does not start"
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill it; what it held is gone."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ready(self, port: int) -> bool:
        words = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        return subprocess.run(words, check=False).returncode == 0

    def _run(self, words: str) -> None:
        program, *rest = words.split()
        subprocess.run(
            [self._bin / program, *rest],
            check=True,
            capture_output=True,
            cwd=self._folder,
            **self._as,
        )
