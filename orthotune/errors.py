"""The exceptions a user can meet, all under one base class.

A message is one sentence in three parts: what must hold, what was got, what to do.
"""

LONGEST_SHOWN = 60
"""Characters of a value that a message shows."""


def cut(text: str) -> str:
    """A text, shortened to what a message can show."""
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def quoted(name: str) -> str:
    """A name as a message shows it, shortened if it is long.

    Example:
        >>> quoted("model.depth")
        '`model.depth`'
    """
    return f"`{cut(name)}`"


class OrthotuneError(Exception):
    """Base class of every error orthotune raises on purpose."""


class ConfigError(OrthotuneError, ValueError):
    """A trial's configuration holds a field or a value that is not allowed.

    Args:
        field: Dotted name of the field.
        problem: The rest of the sentence: `must ..., but got .... Do ...`.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{quoted(field)} {problem}")
        self.field = field
        self.problem = problem

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Pickle by both arguments: the error crosses from a worker to its driver."""
        return type(self), (self.field, self.problem)


class PluginError(OrthotuneError):
    """What is registered from outside cannot be used: a function, a module."""


class FileError(OrthotuneError, ValueError):
    """A YAML file cannot be read as the mapping it must be."""


class SearchSpaceError(OrthotuneError, ValueError):
    """A search-space file cannot be read as one."""


class AblationError(OrthotuneError, ValueError):
    """An ablation file cannot be read as one."""


class TargetError(OrthotuneError, ValueError):
    """A file that is to be written has no such name, or no such folder."""


class DataError(OrthotuneError):
    """A data set is missing, broken, or too small for what was asked of it."""


class DataUnreadableError(DataError):
    """A data set cannot be read on this machine, whatever is asked of it."""


class DataMissingError(DataUnreadableError):
    """A data set is not there, or not whole; a download would put that right."""


class CheckpointError(OrthotuneError):
    """A checkpoint cannot be read, or belongs to another configuration."""


class GpuBusyError(OrthotuneError):
    """A trial's GPU has no room for it, because of others."""


class GpuMissingError(OrthotuneError):
    """A trial was given a GPU that torch cannot use."""


class StudyError(OrthotuneError):
    """A study cannot start, or one of its servers cannot be reached."""


class StudyStoppedError(StudyError):
    """A study that ran cannot go on now; the same command continues it later."""


class InterruptedStartError(KeyboardInterrupt):
    """A signal has ended a session before its first trial; people were told."""


class RayLostError(StudyStoppedError):
    """Ray has died under a running study; its process must not ask Ray for more."""


def out_of_room(problem: str) -> StudyStoppedError:
    """The end of a session by something that cannot be written to.

    Args:
        problem: The first half of the sentence: `... must be writable, but ...`.
    """
    return StudyStoppedError(
        f"{problem}. What is done is kept; the same command continues once there is "
        "room."
    )


def unfit_node(problem: str) -> StudyStoppedError:
    """The end of a session by a node that is not fit for the study.

    Args:
        problem: What must hold there, a sentence or two.
    """
    return StudyStoppedError(
        f"{problem} Or take the node out of the cluster. What is done is kept; the "
        "same command continues then."
    )
