"""orthotune ui: MLflow's pages on the studies of this folder, as `make ui`."""

import argparse
import os
import sys

from orthotune.api import default_tracking_uri
from orthotune.commands.parsing import Command
from orthotune.errors import StudyError
from orthotune.storage.redaction import without_secrets
from orthotune.tracking.sqlite_uri import sqlite_file
from orthotune.tracking.tracking_uri import resolve_tracking_uri


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, default=5000, help="on 127.0.0.1 (default: 5000)"
    )


def _ui(options: argparse.Namespace) -> int:
    uri = resolve_tracking_uri(default_tracking_uri())
    if uri.startswith("http"):
        raise StudyError(
            "MLflow must be started for a store on this machine only, but "
            f"$MLFLOW_TRACKING_URI names a server. Open {without_secrets(uri)}"
        )
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        raise StudyError(
            f"MLflow must have a store to show, but there is no {file}. Go to the "
            "folder where a study was started, or try: orthotune search modulation"
        )
    words = ["-m", "mlflow", "ui", "--backend-store-uri", uri]
    words += ["--host", "127.0.0.1", "--port", str(options.port)]
    # In this process's place, which Ctrl-C then ends.
    os.execv(sys.executable, [sys.executable, *words])


COMMAND = Command(
    name="ui",
    summary="Start MLflow's pages on the studies that were started in this folder.",
    examples=("orthotune ui", "orthotune ui --port 5001"),
    configure=_configure,
    execute=_ui,
)
