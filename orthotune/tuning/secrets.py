"""What must not be shown: passwords and keys inside the addresses people give."""

import re

HIDDEN = "HIDDEN"
_USER = re.compile(r"(://[^:/@\s]*):[^@/\s]*@")
_OPTION = re.compile(
    r"([?&][\w-]*(?:password|passwd|secret|token|key|credential)[\w-]*=)[^&\s'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """A text in which the passwords of all URIs are hidden.

    Args:
        text: An address, a command, or a message that holds some.

    Example:
        >>> without_secrets("postgresql://ann:pw@db/mlflow")
        'postgresql://ann:HIDDEN@db/mlflow'
        >>> without_secrets("s3://bucket/x?secret_key=abc&region=eu-west-1")
        's3://bucket/x?secret_key=HIDDEN&region=eu-west-1'
    """
    return _OPTION.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1:{HIDDEN}@", text))
