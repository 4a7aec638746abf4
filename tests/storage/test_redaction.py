"""What is printed of addresses that hold passwords and keys."""

import pytest

from orthotune.storage.redaction import last_line, without_secrets

SHOWN = {
    "postgresql://ann:p/w@db/mlflow": "postgresql://ann:HIDDEN@db/mlflow",
    "postgresql://ann:p@w:1@db:5432/x": "postgresql://ann:HIDDEN@db:5432/x",
    "mysql+pymysql://:p/w@db": "mysql+pymysql://:HIDDEN@db",
    "https://t0ken@hub/mlflow": "https://HIDDEN@hub/mlflow",
    "git+https://t0ken@hub, abfs://c@b": "git+https://HIDDEN@hub, abfs://c@b",
    "s3://AK:se/cr+et@b/p?region=eu": "s3://AK:HIDDEN@b/p?region=eu",
    "x://db/a?user=ann&pwd=w&b=1": "x://db/a?user=ann&pwd=HIDDEN&b=1",
    "x://db/a?pass=w": "x://db/a?pass=HIDDEN",
    "x://db/a?PassWord=w&sslpassword=v": "x://db/a?PassWord=HIDDEN&sslpassword=HIDDEN",
    "abfs://c/p?sv=1&sig=w%2F&se=2": "abfs://c/p?sv=1&sig=HIDDEN&se=2",
    "https://h/p?X-Amz-Signature=w": "https://h/p?X-Amz-Signature=HIDDEN",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dw%3BPORT%3D1&b=1": (
        "mssql+pyodbc:///?odbc_connect=HIDDEN&b=1"
    ),
    "DRIVER%3Dx%3BPWD%3Dw": "DRIVER%3Dx%3BPWD%3DHIDDEN",
    "x:///?odbc_connect=DRIVER={ODBC 18};PWD=w": (
        "x:///?odbc_connect=HIDDEN 18};PWD=HIDDEN"
    ),
    # Where the last @ is not that of the user, no part of a password may stay.
    "postgresql://db:5432/x?password=w@v": "postgresql://db:HIDDEN",
    "postgresql://ann:w@db/x?password=w@v&b=1": "postgresql://ann:HIDDEN",
    "from a://ann:w@db, to b://bob:v@db": "from a://ann:HIDDEN@db, to b://bob:HIDDEN@db",
}


@pytest.mark.parametrize("text", SHOWN)
def test_passwords_and_keys_are_hidden(text):
    assert without_secrets(text) == SHOWN[text]


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning",
        "sqlite:////tmp/mlflow.db",
        "s3://bucket/x?design=1&region=eu-west-1",
        "https://hub/user/ann@x.org/mlflow",
        "postgresql://ann@db/mlflow",
        "abfs://data@account.dfs.core.windows.net/x",
        "--tracking-uri must be http(s)://..., sqlite:///FILE: ask ann@x.org",
    ],
)
def test_the_rest_is_shown_as_it_is(text):
    assert without_secrets(text) == text


def test_the_last_line_of_an_error_shows_no_password():
    err = RuntimeError("Traceback\n  OSError: s3://AK:se/cret@b/p is not there.\n")
    assert last_line(err) == "OSError: s3://AK:HIDDEN@b/p is not there"


def test_an_error_without_words_is_named():
    assert last_line(ValueError()) == "ValueError()"
