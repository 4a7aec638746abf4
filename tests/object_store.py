"""An object store that speaks S3, in a process of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pyarrow.fs as pafs

from tests.crashes import HANGING_S, free_port

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "planted-storage-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class ObjectStore:
    """moto's server with one bucket; `KEYS` must be in the environment of its users.

    Args:
        host: The address it listens on.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        port = free_port()
        self._log = Path(tempfile.mkdtemp(prefix="moto-"), "log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "moto.server",
                    "-H",
                    host,
                    "-p",
                    f"{port}",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait(f"http://{host}:{port}/moto-api")
        options = f"region=us-east-1&scheme=http&endpoint_override={host}:{port}"
        self.files = pafs.S3FileSystem(
            access_key=KEYS["AWS_ACCESS_KEY_ID"],
            secret_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            endpoint_override=f"{host}:{port}",
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        self.files.create_dir("bucket")
        self.uri = f"s3://bucket/studies?{options}"

    def names(self) -> list[str]:
        """Every object."""
        selector = pafs.FileSelector("bucket", recursive=True)
        infos = self.files.get_file_info(selector)
        return sorted(one.path for one in infos if one.type == pafs.FileType.File)

    def stop(self) -> None:
        """Kill it; what it held is gone."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait(self, url: str) -> None:
        end = time.monotonic() + HANGING_S
        while time.monotonic() < end:
            assert self._process.poll() is None, self._log.read_text()
            try:
                urllib.request.urlopen(url, timeout=2)
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(self._log.read_text())
