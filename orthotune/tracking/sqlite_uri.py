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


def reading_uri(file: Path) -> str:
    """A URI by which a file is read, and nothing made or changed beside it.

    SQLite makes files of its own beside a store of ours to read it, too; unless it is
    told that the file does not change. If they are there somebody has it open.
    """
    own = (file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm"))
    how = "mode=ro" if all(one.exists() for one in own) else "immutable=1"
    encoded = quote(f"file:{quote(str(file))}", safe="")
    return f"{SQLITE}{encoded}?{how}&uri=true"


def sqlite_file(uri: str) -> Path | None:
    """The file of a URI; None if that is another store's.

    Example:
        >>> sqlite_file("sqlite:///%2Fhome%2Fann%2F50%25%20dropout%3F%2Fmlflow.db")
        PosixPath('/home/ann/50% dropout?/mlflow.db')
        >>> sqlite_file("http://127.0.0.1:5000")
    """
    return Path(unquote(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else None
