"""What must not be shown: passwords and keys inside the addresses people give."""

import re

HIDDEN = "HIDDEN"
# Up to the last @ of the word: a password may hold any sign, also / and @.
_USER = re.compile(r"(://[^:/@\s]*):(\S*)@(\S*)")
# For a server a user without a password may be a token; elsewhere it is a name.
_TOKEN = re.compile(r"(https?://)[^:/@\s?#]+@")
# Also inside an ODBC string, plain or percent-encoded: ...;PWD=x, ...%3BPWD%3Dx
_OPTION = re.compile(
    r"((?:[?&;]|%3B|%26)"
    r"(?:[\w-]*(?:pass|pwd|secret|token|key|credential|signature)[\w-]*"
    r"|sig|odbc_connect)(?:=|%3D))[^&\s'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """A text in which the passwords, tokens and keys of all URIs are hidden.

    Args:
        text: An address, a command, or a message that holds some.

    Example:
        >>> without_secrets("postgresql://ann:pw@db/mlflow")
        'postgresql://ann:HIDDEN@db/mlflow'
        >>> without_secrets("s3://bucket/x?secret_key=abc&region=eu-west-1")
        's3://bucket/x?secret_key=HIDDEN&region=eu-west-1'
    """
    text = _TOKEN.sub(rf"\1{HIDDEN}@", _USER.sub(_without_password, text))
    return _OPTION.sub(rf"\1{HIDDEN}", text)


def first_line(err: Exception) -> str:
    r"""The first line of an error's message, or what error it is.

    Example:
        >>> first_line(OSError("no room\nat all")), first_line(OSError())
        ('no room', 'OSError()')
    """
    return without_secrets((str(err).splitlines() or [repr(err)])[0])


def last_line(err: Exception) -> str:
    """The last line of an error's message; Ray's begin with a worker's traceback."""
    lines = str(err).strip().splitlines() or [repr(err)]
    return without_secrets(lines[-1].strip().rstrip("."))


def _without_password(found: re.Match[str]) -> str:
    # The last @ may be in the value of an option, whose end then follows it.
    rest = "" if _OPTION.search(found[2]) else f"@{found[3]}"
    return f"{found[1]}:{HIDDEN}{rest}"
