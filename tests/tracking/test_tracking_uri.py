"""What is no MLflow store is refused in one sentence, without its password."""

import base64
import contextlib
import socketserver
import ssl

import pytest
from mlflow.exceptions import MlflowException

from orthotune.errors import StudyError
from orthotune.tracking.tracking_uri import check_store, resolve_tracking_uri
from tests.crashes import answering, serving


@pytest.mark.parametrize(
    "uri", ["file:./mlruns", "mlruns", "ftp://host/x", "", "databricks"]
)
def test_a_store_we_do_not_write_to_is_refused(uri):
    with pytest.raises(StudyError, match=r"--tracking-uri must be http.*sqlite:///ml"):
        resolve_tracking_uri(uri)


def test_a_store_that_is_refused_shows_no_password():
    with pytest.raises(StudyError, match="got 'postgres://ann:HIDDEN@db/x'") as caught:
        resolve_tracking_uri("postgres://ann:p/w@db/x")
    assert "p/w" not in str(caught.value)


def test_a_relative_sqlite_file_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_tracking_uri("sqlite:///x.db") == f"sqlite:///{tmp_path}/x.db"


def test_a_server_that_does_not_answer_is_refused():
    with pytest.raises(
        StudyError, match=r"http://127.0.0.1:9 does not .*mlflow server"
    ):
        check_store("http://127.0.0.1:9")


def test_a_sqlite_file_in_no_folder_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"can be written to, but .*nowhere is not"):
        check_store(f"sqlite:///{tmp_path}/nowhere/mlflow.db")


@pytest.mark.parametrize(
    "uri",
    [
        "http://ann:secret@host",
        "http://ann:secret@host:5000",
        "http://ann:sec/ret@host",
        "http://[host",
        "http://a..b",
        "http://",
    ],
)
def test_what_is_no_url_of_a_server_is_refused_without_its_password(uri):
    with pytest.raises(StudyError, match=r"does not \(.*mlflow server") as caught:
        check_store(uri)
    assert "sec" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_certificate_that_is_not_trusted_is_said_to_be_none(monkeypatch):
    def refuse(*_args, **_how):
        try:
            raise ssl.SSLCertVerificationError(1, "self-signed certificate")
        except ssl.SSLError as err:
            text = f"API request failed with exception {err}"
            raise MlflowException(text) from err

    monkeypatch.setattr("mlflow.utils.rest_utils.http_request", refuse)
    with pytest.raises(StudyError, match=r"does not \(.*self-signed certificate.*\)"):
        check_store("https://127.0.0.1:5000")


@contextlib.contextmanager
def saying(line):
    """The URI of what is no HTTP server: it says one line to whoever calls."""

    class Line(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(line)

    with serving(socketserver.TCPServer(("127.0.0.1", 0), Line)) as uri:
        yield uri


@pytest.mark.parametrize(
    ("line", "why"),
    [(b"SSH-2.0-OpenSSH\r\n", "SSH-2.0"), (b"", "closed|reset by peer")],
)
def test_a_port_that_is_no_http_servers_is_refused(line, why):
    with saying(line) as uri, pytest.raises(StudyError, match=rf"does not \(.*{why}"):
        check_store(uri)


@pytest.mark.parametrize(
    ("names", "header"),
    [
        (("USERNAME", "PASSWORD"), f"Basic {base64.b64encode(b'x:x').decode()}"),
        (
            ("USERNAME", "PASSWORD", "TOKEN"),
            f"Basic {base64.b64encode(b'x:x').decode()}",
        ),
        (("TOKEN",), "Bearer x"),
        (("USERNAME", "TOKEN"), "Bearer x"),
    ],
)
def test_a_server_is_asked_with_the_credentials_of_mlflow(names, header, monkeypatch):
    for name in names:
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "x")
    with answering("3.17.2", header) as uri:
        check_store(uri)


def test_a_server_is_asked_with_the_credentials_in_the_file_of_mlflow(
    monkeypatch, tmp_path
):
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = x\nmlflow_tracking_password = x\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    with answering("3.17.2", f"Basic {base64.b64encode(b'x:x').decode()}") as uri:
        check_store(uri)


@pytest.mark.parametrize("names", [(), ("USERNAME", "PASSWORD")])
def test_a_server_that_refuses_the_credentials_says_so(names, monkeypatch):
    for name in names:
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "wrong")
    with (
        answering("3.17.2", "Bearer right") as uri,
        pytest.raises(StudyError, match=r"refused the cred.*401.* MLFLOW_TRACKING_U"),
    ):
        check_store(uri)


def test_a_server_that_answers_passes():
    with answering("3.17.2") as uri:
        check_store(uri)


@pytest.mark.parametrize("version", ["2.22.1", "", "<html>"])
def test_a_server_that_is_too_old_is_refused(version):
    with (
        answering(version) as uri,
        pytest.raises(StudyError, match=r"of version 3 or later, but http.*Upgrade it"),
    ):
        check_store(uri)
