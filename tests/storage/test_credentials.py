"""Keys leave the environment while a study runs, and its storage still answers."""

import http.server
import os
import subprocess
import sys

import pytest

from orthotune.storage.credentials import FILE, KEYS, storage_keys
from orthotune.storage.folder import StorageFolder
from tests.crashes import serving
from tests.object_store import KEYS as ITS_KEYS


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in (*KEYS, FILE, "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def test_without_keys_nothing_changes():
    before = dict(os.environ)
    with storage_keys() as hide:
        hide()
        assert dict(os.environ) == before


def test_keys_are_hidden_when_asked_and_back_at_the_end(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv(FILE, "mine")
    monkeypatch.setenv("AWS_PROFILE", "work")
    before = dict(os.environ)
    with storage_keys() as hide:
        assert os.environ["AWS_SECRET_ACCESS_KEY"] == "secret"
        hide()
        assert not [value for value in os.environ.values() if "secret" in value]
        with open(os.environ[FILE]) as file:
            assert file.read() == "[work]\naws_secret_access_key = secret\n"
        code = f"import os; open(os.environ['{FILE}'])"
        child = [sys.executable, "-c", code]
        assert subprocess.run(child, check=False, capture_output=True).returncode
    assert dict(os.environ) == before


def test_a_storage_is_asked_with_the_keys_that_are_hidden(monkeypatch):
    for name, value in ITS_KEYS.items():
        monkeypatch.setenv(name, value)
    asked = []

    class Listening(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers["Authorization"])
            self.send_error(404)

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *args):
            pass

    with (
        serving(http.server.HTTPServer(("127.0.0.1", 0), Listening)) as uri,
        storage_keys() as hide,
    ):
        hide()
        place = uri.removeprefix("http://")
        options = f"region=us-east-1&scheme=http&endpoint_override={place}"
        folder = StorageFolder(f"s3://bucket/studies?{options}")
        assert folder.read("name") is None
        assert "planted" not in str(dict(os.environ))
    assert asked
    signed = f"Credential={ITS_KEYS['AWS_ACCESS_KEY_ID']}/"
    assert all(signed in header for header in asked)
