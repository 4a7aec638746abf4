"""The MLflow store that a user names, and whether it can be there."""

import os
import re
import ssl
from pathlib import Path
from typing import Any

from orthotune.errors import StudyError
from orthotune.storage.permission import trouble_with
from orthotune.storage.redaction import without_secrets
from orthotune.tracking.sqlite_uri import SQLITE, sqlite_file, sqlite_uri

OLDEST_SERVER = 3
"""The major version of MLflow whose servers this program was tried with."""

ANSWER_S = 15.0
"""How long a server may take to say that it is well."""


def resolve_tracking_uri(uri: str) -> str:
    """A tracking URI as every process understands it.

    Raises:
        StudyError: If the URI is not one this program can write to.

    Example:
        >>> resolve_tracking_uri("sqlite:////tmp/mlflow.db")
        'sqlite:////tmp/mlflow.db'
        >>> resolve_tracking_uri("http://127.0.0.1:5000/")
        'http://127.0.0.1:5000'
    """
    if uri.startswith(("http://", "https://")):
        return uri.rstrip("/")
    file = sqlite_file(uri)
    if file is not None:
        return _of_file(uri, file)
    if re.match(r"(postgresql|mysql|mssql)(\+\w+)?://", uri):
        return uri
    raise StudyError(
        "--tracking-uri must be http(s)://..., sqlite:///FILE or a database URI, "
        f"but got {without_secrets(uri)!r}. For a file on this machine: sqlite:///mlflow.db"
    )


def _of_file(uri: str, file: Path) -> str:
    place = os.path.realpath(file)
    literal = os.path.dirname(uri.removeprefix(SQLITE))
    if "?" in uri or (os.path.isdir(literal) and not os.path.isdir(file.parent)):
        raise StudyError(
            "--tracking-uri must be a URI without options, in which ? and % of a name "
            f"are written %3F and %25, but got {uri!r}. In the folder of the file: "
            "sqlite:///mlflow.db"
        )
    try:
        return sqlite_uri(Path(place))
    except UnicodeEncodeError as err:
        raise StudyError(
            "--tracking-uri must be a file with a name in the encoding of the locale, "
            f"but got {place!r}. Set LC_ALL to C.UTF-8, or start from another folder."
        ) from err


def check_store(uri: str) -> None:
    """Refuse a store that cannot be there, before anything is started.

    Raises:
        StudyError: If `uri` is a server's and it does not answer within 15 seconds,
            does not take the credentials in the environment or is of an MLflow before
            `OLDEST_SERVER`; or a file's, which cannot be written to, or not be made.
    """
    file = sqlite_file(uri)
    if file is not None:
        _check_file(file)
    if not uri.startswith("http"):
        return
    shown = without_secrets(uri)
    try:
        _ask(uri, "/health")
        theirs = _ask(uri, "/version")
    except PermissionError as err:
        raise StudyError(
            f"--tracking-uri must be an MLflow server that lets you in, but {shown} "
            f"refused the credentials ({err}). Set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        ) from err
    except Exception as err:  # of MLflow, requests, urllib3, sockets: no common base
        raise StudyError(
            "--tracking-uri must be an MLflow server that answers, but "
            f"{shown} does not ({_why_silent(err)}). Start it with: "
            "mlflow server --host 127.0.0.1 --port 5000"
        ) from err
    major = theirs.partition(".")[0]
    if not major.isdigit() or int(major) < OLDEST_SERVER:
        raise StudyError(
            f"--tracking-uri must be an MLflow server of version {OLDEST_SERVER} or "
            f"later, but {shown} is of {theirs or 'no'} version. Upgrade it."
        )


def _check_file(file: Path) -> None:
    if not os.path.isdir(file.parent):
        raise StudyError(
            "--tracking-uri must be a file in a folder that can be written to, but "
            f"{file.parent} is not. Create it, or choose another one."
        )
    # SQLite's own, too: whoever has the store open may be another.
    own = (file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm"))
    for path, is_folder in (
        (file.parent, True),
        *((one, False) for one in (file, *own)),
    ):
        trouble = trouble_with(path, folder=is_folder)
        if trouble:
            raise StudyError(
                "--tracking-uri must be a file that can be written to, in such a "
                f"folder, but {trouble}. Choose another one, or a server."
            )


def _ask(uri: str, path: str) -> str:
    """The beginning of what a server answers, asked as MLflow's own client would.

    So with credentials from wherever it takes them, and its certificates.

    Raises:
        PermissionError: If it lets nobody in with these.
        ConnectionError: If it answers with another error.
    """
    # They take a second to import: only a server needs them this early.
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    answer: Any = http_request(
        get_default_host_creds(uri), path, "GET", timeout=ANSWER_S, max_retries=0
    )
    if not answer.ok:
        kind = PermissionError if answer.status_code in (401, 403) else ConnectionError
        raise kind(f"{answer.status_code} {answer.reason}")
    return answer.text[:64].strip()


def _why_silent(err: BaseException) -> str:
    """The innermost error of a chain of exceptions."""
    chain = [err]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(below)
    # What is said of a URL that cannot be read holds parts of it: of the password, too.
    bad = [one for one in chain if isinstance(one, ValueError)]
    if any(not isinstance(one, ssl.SSLError) for one in bad):
        return (
            "it is no URL of a server; user and password belong in "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    return (str(chain[-1]).splitlines() or [repr(chain[-1])])[0]
