"""The exceptions a user can meet, all under one base class.

A message is one sentence in three parts: what must hold, what was got, what to do.
"""


class OrthotuneError(Exception):
    """Base class of every error orthotune raises on purpose."""


class ConfigError(OrthotuneError, ValueError):
    """A trial's configuration holds a field or a value that is not allowed."""


class SearchSpaceError(OrthotuneError, ValueError):
    """A search-space file cannot be read as one."""


class DataError(OrthotuneError):
    """A data set is missing, broken, or too small for what was asked of it."""


class CheckpointError(OrthotuneError):
    """A checkpoint cannot be read, or belongs to another configuration."""


class StudyError(OrthotuneError):
    """A study cannot start, or one of its servers cannot be reached."""
