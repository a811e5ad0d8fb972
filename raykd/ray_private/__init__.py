"""Everything raykd uses of Ray that is not public API, checked before it is used.

No other room of raykd imports a private name of Ray. This file lists them all; what slots do with
those of Ray Train is in `raykd.ray_private.trainer`, which relies on the order of things, too.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raykd.private_api import Library, PrivateName
from raykd.ray_private import setup_worker

RAY = Library("ray", "Ray", "2.60")

_TRAIN = "ray.train.v2._internal"
_TRAINER = "ray.train.v2.api.data_parallel_trainer"
_LAUNCHER = "ray.autoscaler._private"

TRAINER = PrivateName(_TRAINER, "DataParallelTrainer", "slots whose trainers need no PyTorch")
CONTROLLER = PrivateName(
    f"{_TRAIN}.execution.controller", "TrainController", "ending a slot from another thread"
)
_HERE = "running the controller of a slot in a thread"
STEP = PrivateName(
    CONTROLLER.module, "TrainController._run_control_loop_iteration", CONTROLLER.purpose
)
WORKER_GROUP = PrivateName(f"{_TRAIN}.execution.worker_group.worker_group", "WorkerGroup", _HERE)
CONTROLLER_GROUPS = PrivateName(CONTROLLER.module, "TrainController.worker_group_cls", _HERE)
WORKER_CONTEXT = PrivateName(
    f"{_TRAIN}.execution.worker_group.worker", "RayTrainWorker.init_train_context", _HERE
)
GROUP_BEGIN = PrivateName(WORKER_GROUP.module, "WorkerGroup._start", _HERE)
GROUP_LOGS = PrivateName(WORKER_GROUP.module, "WorkerGroup._decorate_worker_log_file_paths", _HERE)
GROUP_OWN_CONTEXT = PrivateName(
    WORKER_GROUP.module, "WorkerGroup.get_worker_group_context", CONTROLLER.purpose
)
GROUP_END = PrivateName(
    f"{_TRAIN}.execution.callback", "WorkerGroupCallback.after_worker_group_abort",
    CONTROLLER.purpose,
)  # fmt: skip
GROUP_START = PrivateName(
    WORKER_GROUP.module, "WorkerGroup._start_impl", "leaving out a process that nobody waits for"
)
GROUP_PLACE = PrivateName(
    WORKER_GROUP.module, "WorkerGroup._create_placement_group", CONTROLLER.purpose
)
GROUP_CONTEXT = PrivateName(
    WORKER_GROUP.module, "WorkerGroup._init_train_context_on_workers", _HERE
)
CLEANER = PrivateName(
    f"{_TRAIN}.callbacks.placement_group_callback", "PlacementGroupCleanerCallback",
    "leaving out a process that may end a slot by mistake",
)  # fmt: skip
DATASETS = PrivateName(
    f"{_TRAIN}.callbacks.datasets", "DatasetsCallback", "leaving out a process for datasets"
)
STATES = PrivateName(
    f"{_TRAIN}.callbacks.state_manager", "StateManagerCallback",
    "leaving out a dashboard's view of controllers that are processes",
)  # fmt: skip
RUN_CONTROLLER = PrivateName(
    _TRAINER, "DataParallelTrainer._initialize_and_run_controller",
    "ending a slot from another thread",
)  # fmt: skip
NODE_REQUESTS = PrivateName(
    f"{_TRAIN}.execution.scaling_policy", "ScalingPolicy._send_resource_request",
    "leaving out a process that asks for nodes",
)  # fmt: skip
SYNCHRONISER = PrivateName(
    WORKER_GROUP.module, "SynchronizationActor",
    "leaving out a process that lets ranks wait for each other",
)  # fmt: skip
END_SYNCHRONISER = PrivateName(
    f"{_TRAIN}.execution.worker_group.state", "_shutdown_sync_actor", SYNCHRONISER.purpose
)
REPEATED_REQUESTS = PrivateName(
    NODE_REQUESTS.module, "ScalingPolicy._maybe_send_resource_request", NODE_REQUESTS.purpose
)
ENDED_REQUESTS = PrivateName(
    NODE_REQUESTS.module, "ScalingPolicy._cancel_resource_request", NODE_REQUESTS.purpose
)
DEFAULT_CALLBACKS = PrivateName(
    _TRAINER, "DataParallelTrainer._create_default_callbacks",
    "leaving out a process that may end a slot by mistake",
)  # fmt: skip
TRIAL_ENVIRONMENT = PrivateName(
    "ray.tune.execution.class_cache", "ENV_VARS_TO_PROPAGATE", "keeping credentials out of logs"
)
PROGRESS = PrivateName(
    "ray.tune.progress_reporter", "TrialProgressCallback", "turning off Tune's own printing"
)
NOTEBOOK = PrivateName(
    "ray.tune.progress_reporter", "IS_NOTEBOOK", "leaving the output of a notebook's cell alone"
)
JOB = "finding the cluster of a submitted job"
JOB_CONFIG = PrivateName("ray._private.runtime_env.constants", "RAY_JOB_CONFIG_JSON_ENV_VAR", JOB)
JOB_ID = PrivateName("ray.dashboard.modules.job.common", "JOB_ID_METADATA_KEY", JOB)
JOB_STORE = PrivateName("ray.dashboard.modules.job.common", "JobInfoStorageClient", JOB)
ADDRESSES = PrivateName("ray._private.services", "find_gcs_addresses", JOB)
CLIENT = PrivateName("ray._raylet", "GcsClient", JOB)
_START = "starting a local cluster"
NODE = PrivateName("ray._private.node", "Node", _START)
PARAMETERS = PrivateName("ray._private.parameter", "RayParams", _START)
TOKEN = PrivateName(
    "ray._private.authentication.authentication_token_setup",
    "ensure_token_if_auth_enabled", _START,
)  # fmt: skip
AGENT = PrivateName(
    "ray._private.utils", "get_dashboard_dependency_error", f"{_START} without a job server"
)
WORKER_SETUP = PrivateName(
    "ray._private.workers.setup_worker", "parser", "starting workers with an environment"
)
WORKER_VARIABLES = PrivateName(
    "ray._private.runtime_env.context", "RuntimeEnvContext.deserialize", WORKER_SETUP.purpose
)
REACHABLE = PrivateName(
    "ray._private.ray_constants", "ENABLE_RAY_CLUSTER", "keeping a local cluster on this machine"
)
DASHBOARD = PrivateName(NODE.module, "Node.start_api_server", f"{_START} without a dashboard")
DEAD = PrivateName(NODE.module, "Node.dead_processes", "noticing that a local cluster is lost")
END = PrivateName(NODE.module, "Node.kill_all_processes", "ending a local cluster")
WORDS = PrivateName(
    "ray._private.worker", "print_to_stdstream", "keeping standard output for results"
)
TUNE_STATE = PrivateName(
    "ray.tune.execution.tune_controller", "TuneController.checkpoint",
    "leaving out a state of Tune that nobody reads",
)  # fmt: skip
CONFIG = PrivateName("ray._raylet", "Config", "connecting to a cluster with new settings")
PROVIDERS = PrivateName(
    f"{_LAUNCHER}.providers", "_DEFAULT_CONFIGS", "the providers that Ray knows"
)
PREPARE = PrivateName(
    f"{_LAUNCHER}.util", "prepare_config", "filling in the defaults of a cluster file"
)
VALIDATE = PrivateName(f"{_LAUNCHER}.util", "validate_config", "checking a cluster file")

SWEEP = (
    STEP, CONTROLLER_GROUPS, WORKER_CONTEXT, GROUP_BEGIN, GROUP_START, GROUP_PLACE, GROUP_CONTEXT,
    GROUP_OWN_CONTEXT, GROUP_LOGS, GROUP_END, CLEANER, DATASETS, STATES, RUN_CONTROLLER,
    DEFAULT_CALLBACKS, NODE_REQUESTS, REPEATED_REQUESTS, ENDED_REQUESTS, TRIAL_ENVIRONMENT,
    PROGRESS, NOTEBOOK, CONFIG, REACHABLE, SYNCHRONISER, END_SYNCHRONISER, WORDS,
    TUNE_STATE,
)  # fmt: skip
"""What a sweep uses."""

LOCAL = (PARAMETERS, TOKEN, AGENT, DASHBOARD, DEAD, END, WORKER_SETUP, WORKER_VARIABLES)
"""What a local cluster uses."""

SUBMITTED = (JOB_CONFIG, JOB_ID, JOB_STORE, ADDRESSES, CLIENT)
"""What a sweep uses that is a submitted job."""

CLUSTER_FILES = (PROVIDERS, PREPARE, VALIDATE)
"""What checks of cluster files use, besides ``ray-schema.json`` in the folder of the autoscaler."""


ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""The environment of processes of Ray that listen on the loopback address alone."""

ASK_S = 10
"""A cluster has this long to say whether it knows a job."""

HEAD = "node:__internal_head__"
"""The resource that Ray gives the head of a cluster, and no other node."""


def require_head() -> None:
    """Check that the head of the cluster has the resource `HEAD`.

    What asks for a resource that no node has would wait for ever.

    Raises:
        SetupError: No node has it.
    """
    import ray

    if not any(HEAD in node["Resources"] for node in ray.nodes()):  # type: ignore[no-untyped-call]
        raise RAY.lacks(f"the resource {HEAD} (following trials from the head)")


def cluster_of_job(environment: Mapping[str, str]) -> str | None:
    """Address of the cluster that this process is a submitted job of, None if it is none.

    Ray tells a job the address of a cluster of the machine; where there are several, it may be any.

    Args:
        environment: Of the process.

    Raises:
        SetupError: This version of Ray lacks a part of `SUBMITTED`.
    """
    RAY.require(SUBMITTED)
    config = json.loads(environment.get(JOB_CONFIG.find()) or "{}")
    job = config.get("metadata", {}).get(JOB_ID.find())

    def knows_job(address: str) -> bool:
        store = JOB_STORE.find()(CLIENT.find()(address=address))
        try:
            return asyncio.run(store.get_info(job, timeout=ASK_S)) is not None
        except Exception:  # the binding raises many; one that does not answer is not ours
            return False

    return next(filter(knows_job, ADDRESSES.find()()), None) if job else None


def read_environment_again() -> None:
    """Let Ray read its settings from the environment, as it did when it was imported."""
    CONFIG.find().initialize("")


@contextmanager
def on_loopback() -> Iterator[None]:
    """What Ray starts and connects to in the block is on the loopback address of this machine.

    Ray does so by itself on other systems than Linux, where a firewall would ask. Processes that it
    starts learn it from the environment, as `ON_LOOPBACK`.

    Raises:
        SetupError: This version of Ray lacks a part of `SWEEP`.
    """
    RAY.require(SWEEP)
    with REACHABLE.replaced(False):
        yield


@contextmanager
def words_to(hear: Callable[[str], None]) -> Iterator[None]:
    """In the block, what Ray would print of processes that died goes to a function.

    It would stand on standard output, among results, and say what raykd says itself.
    """
    with WORDS.replaced(lambda data, **how: hear("\n".join(data["lines"]))):
        yield


def worker_setup() -> str:
    """Ray's own file for workers with an environment of their own.

    Raises:
        SetupError: This version of Ray lacks a part of `LOCAL`.
    """
    RAY.require(LOCAL)
    return str(importlib.import_module(WORKER_SETUP.module).__file__)


def start_local_cluster() -> Any:  # Ray's own class
    """Start the processes of a local cluster, which end with this one.

    Left out is what a sweep does not use: the job server, whose port is the same for all clusters
    of a machine, so that the first one has it; the dashboard; the autoscaler, as no node can be
    added; and what copies logs to the driver. `raykd.ray_private.setup_worker` is in the place of
    Ray's file for workers with an environment of their own.

    Raises:
        SetupError: This version of Ray lacks a part of `LOCAL`.
        Exception: The cluster did not start; Ray raises many.
    """
    RAY.require(LOCAL)
    owner = importlib.import_module(AGENT.module)
    setattr(owner, AGENT.name, lambda: ImportError("left out"))
    TOKEN.find()(None, create_token_if_missing=True)
    parameters = PARAMETERS.find()(
        include_dashboard=False, no_monitor=True, include_log_monitor=False,
        setup_worker_path=setup_worker.__file__,
    )  # fmt: skip

    class WithoutDashboard(NODE.find()):  # type: ignore[misc]  # a class of Ray's, found by name
        def start_api_server(self, **_options: Any) -> None:
            """Start nothing."""

    return WithoutDashboard(parameters, head=True, shutdown_at_exit=True, spawn_reaper=True)


def keep_credentials_from_trials() -> None:
    """Stop Tune from passing AWS credentials to trials: Ray writes them into a log."""
    names = TRIAL_ENVIRONMENT.find()
    names.difference_update({name for name in names if name.startswith("AWS_")})


def silent_progress() -> Any:  # a callback of Tune
    """A callback in place of Tune's own printing of results, which ``verbose=0`` leaves on.

    Tune keeps its trials to the end, with statistics over every number of their results. Nothing
    in raykd reads them, and they are half of what a trial leaves in the driver's memory.
    """

    class Silence(PROGRESS.find()):  # type: ignore[misc]  # a class of Ray's, found by name
        def log_result(self, trial: Any, result: dict[str, Any], error: bool = False) -> None:
            """Print nothing."""

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            """Print nothing, and drop the statistics."""
            trial.run_metadata.metric_analysis = {}
            trial.run_metadata.metric_n_steps = {}

    return Silence()


class Launcher:
    """The part of ``ray up`` that reads a cluster file; it asks no cloud.

    Raises:
        SetupError: This version of Ray lacks a part of `CLUSTER_FILES`.
    """

    def __init__(self) -> None:
        RAY.require(CLUSTER_FILES)
        self.providers: frozenset[str] = frozenset({*PROVIDERS.find(), "external"})
        self.prepare: Callable[[dict[str, Any]], dict[str, Any]] = PREPARE.find()
        self.validate: Callable[[Mapping[str, Any]], None] = VALIDATE.find()

    def schema(self) -> dict[str, Any]:
        """The JSON schema of a cluster file.

        Raises:
            SetupError: This version of Ray keeps it elsewhere.
        """
        import ray

        path = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
        try:
            schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RAY.lacks(f"{path} (checking a cluster file)") from None
        return schema
