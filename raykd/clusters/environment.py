"""What raykd sets in the environment before Ray starts; what the user has set stays."""

from __future__ import annotations

import os

_QUIET = {
    # Tune: raykd keeps its own records, and the study is the only state to resume from.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "0",
    # Tune would start the processes that follow trials one after another, and ask for no further
    # trial meanwhile; how many there are at a time is bounded by the searcher.
    "TUNE_MAX_PENDING_TRIALS_PG": "64",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Train: a slot reports to the coordinator; its own health is polled rarely.
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A slot is several small processes; Ray warns when more than this start at once.
    "RAY_worker_maximum_startup_concurrency": "8",
    # On a busy machine Ray's own processes take longer to find each other.
    "RAY_raylet_start_wait_time_s": "180",
    # Do not let Ray hide the GPUs from tasks that asked for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

_LOCAL = {
    # One process less for every slot: this machine announces no preemption.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # What Ray chooses itself for a cluster that it starts in the process of the driver.
    "RAY_AUTH_MODE": "token",
}


def set_environment(*, local: bool) -> None:
    """Set it, for a local cluster or for another one."""
    for name, value in (_QUIET | _LOCAL if local else _QUIET).items():
        os.environ.setdefault(name, value)
