"""What Ray reads from the environment; call `prepare` before Ray is imported."""

import os
from pathlib import Path

DEFAULTS = {
    # We keep our own log, and stop by our own handler, so that everything is closed.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Workers started ahead, which Tune cannot use: its own have other variables.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # Ray's own tables, beside ours
    # Trials that wait for a place: our searcher says when there is room. By default Ray
    # starts one at a time, and never fills the slots of a cluster.
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # tracebacks of workers that died
    # Ray's attempts at an address where something listens that is no Ray; each takes
    # half a minute, and it would make 20.
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Ray's snapshots: the record is ours
}


def prepare() -> None:
    """Set what is not set by the user.

    A cluster whose head found a token asks everyone for it, but Ray's drivers offer it
    only when told to.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    token = Path(
        os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    )
    if os.environ.get("RAY_AUTH_TOKEN") or token.is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
