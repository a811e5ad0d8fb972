"""What raykd sets in the environment while it uses Ray; what the user has set stays."""

from __future__ import annotations

import os

from raykd.clusters.auth_token import TOKEN

_QUIET = {
    # Tune: raykd keeps its own records, and the study is the only state to resume from.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "0",
    # Tune would start the processes that follow trials one after another, and ask for no further
    # trial meanwhile; how many there are at a time is bounded by the searcher.
    "TUNE_MAX_PENDING_TRIALS_PG": "64",
    "RAY_AIR_NEW_OUTPUT": "0",
    # raykd reports what becomes of a trial.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Train: a slot reports to the coordinator; its own health is polled rarely.
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Its controllers run in this process, and must not configure its logging.
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A slot is several small processes; Ray warns when more than this start at once.
    "RAY_worker_maximum_startup_concurrency": "8",
    # On a busy machine Ray's own processes take longer to find each other.
    "RAY_raylet_start_wait_time_s": "180",
    # A lost head ends the driver after so long, with the command that continues the sweep.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "45",
    # Do not let Ray hide the GPUs from tasks that asked for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

_LOCAL = {
    # One process less for every slot: this machine announces no preemption.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # What Ray chooses itself for a cluster that it starts in the process of the driver.
    "RAY_AUTH_MODE": "token",
    # Most bytes of each of Ray's logs, and how many older parts of it are kept.
    "RAY_ROTATION_MAX_BYTES": str(32 * 2**20),
    "RAY_ROTATION_BACKUP_COUNT": "1",
}

_MADE = (TOKEN,)
"""Variables that are set while a local cluster starts."""


class RayEnvironment:
    """Sets it, for a local cluster or for another one, until it is restored.

    Who runs a sweep in a notebook may start Ray for something else later.

    Args:
        local: Whether for a local cluster.
    """

    def __init__(self, *, local: bool) -> None:
        given = _QUIET | _LOCAL if local else _QUIET
        self._unset = [
            name for name in (*given, *(_MADE if local else ())) if name not in os.environ
        ]
        for name, value in given.items():
            os.environ.setdefault(name, value)

    def restore(self) -> None:
        """Take back what was not set before."""
        for name in self._unset:
            os.environ.pop(name, None)
