"""URIs of SQLite files, as every part of MLflow understands them.

SQLAlchemy ends a file's name at a `?`, and decodes what follows a `%`. But MLflow makes
the folders of the name as the URI has it, not decoded: beside a folder `50% dropout` it
would make `50%25 dropout`. In a name without any `/` it finds no folder to make.
"""

from pathlib import Path
from urllib.parse import quote, unquote

SQLITE = "sqlite:///"


def sqlite_uri(file: Path) -> str:
    """The URI of a file, for MLflow's client, its server, and a shell.

    Args:
        file: The file, absolute.

    Raises:
        UnicodeEncodeError: If its name is no text, and so has no URI.

    Example:
        >>> sqlite_uri(Path("/home/ann/my runs/mlflow.db"))
        'sqlite:////home/ann/my runs/mlflow.db'
        >>> sqlite_uri(Path("/home/ann/50% dropout?/mlflow.db"))
        'sqlite:///%2Fhome%2Fann%2F50%25%20dropout%3F%2Fmlflow.db'
    """
    name = str(file)
    encoded = quote(name, safe="")
    legible = name.isprintable() and not set("?%") & set(name)
    return SQLITE + (name if legible else encoded)


def sqlite_file(uri: str) -> Path | None:
    """The file of a URI; None if that is another store's.

    Example:
        >>> sqlite_file("sqlite:///%2Fhome%2Fann%2F50%25%20dropout%3F%2Fmlflow.db")
        PosixPath('/home/ann/50% dropout?/mlflow.db')
        >>> sqlite_file("http://127.0.0.1:5000")
    """
    return Path(unquote(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else None
