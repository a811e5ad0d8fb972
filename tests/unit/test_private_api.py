"""What raykd uses of libraries beyond their public API: all of it is looked for, in one place."""

from __future__ import annotations

import ast
import importlib
import json
import sys
import threading
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray._private.runtime_env.context import RuntimeEnvContext
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.train.v2._internal.execution.worker_group.state import WorkerGroupState

from raykd import ray_private
from raykd.clusters.connection import connected
from raykd.errors import SetupError
from raykd.models import torch_private, transformers_private
from raykd.models.torch_private import TORCH
from raykd.models.transformers_private import TRANSFORMERS
from raykd.private_api import Library, PrivateName
from raykd.ray_private import CLUSTER_FILES, LOCAL, RAY, SUBMITTED, SWEEP, Launcher
from raykd.ray_private.trainer import EndableTrainer, _group, _Groups
from raykd.search import optuna_private
from raykd.search.optuna_private import OPTUNA, put_back
from tests.unit.search.studies import study

USED = {
    RAY: (*SWEEP, *LOCAL, *SUBMITTED, *CLUSTER_FILES),
    OPTUNA: optuna_private.PARTS,
    TRANSFORMERS: transformers_private.PARTS,
    TORCH: torch_private.PARTS,
}
PACKAGE = Path(ray_private.__file__).parent.parent


def forget(monkeypatch: pytest.MonkeyPatch, part: PrivateName) -> None:
    """Take a part out of Ray, as a new version may."""
    *owner, name = part.name.split(".")
    actual = importlib.import_module(part.module)
    for step in owner:
        actual = getattr(actual, step)
    monkeypatch.delattr(actual, name)


def test_the_installed_versions_have_everything():
    for library, parts in USED.items():
        library.require(parts)
    assert Launcher().schema()["properties"]["cluster_name"]


@pytest.mark.parametrize(
    ("library", "part"),
    [(library, part) for library, parts in USED.items() for part in parts],
    ids=lambda value: value.name if isinstance(value, PrivateName) else value.package,
)
def test_a_missing_name_is_reported_with_the_version_and_the_purpose(library, part, monkeypatch):
    forget(monkeypatch, part)
    with pytest.raises(SetupError) as caught:
        library.require(USED[library])
    (problem,) = caught.value.problems()
    version = metadata.version(library.package)
    assert problem.message == (
        f"raykd does not work with {library.title} {version}, which lacks "
        f"{part.module}.{part.name} ({part.purpose})"
    )
    assert problem.hint == (
        "install a version that raykd was tested with: "
        f"pip install '{library.package}=={library.tested}.*'"
    )


@pytest.mark.parametrize("library", USED, ids=lambda library: library.package)
def test_the_installed_version_is_one_that_the_suite_passes_with(library: Library):
    # Where this fails, the suite runs with a newer version: if all else passes, it is tested.
    installed = metadata.version(library.package).split(".")
    assert [int(n) for n in installed[:2]] >= [int(n) for n in library.tested.split(".")]


def test_everything_that_is_missing_is_in_one_message(monkeypatch):
    forget(monkeypatch, ray_private.PROGRESS)
    gone = PrivateName("ray.train.v3", "Controller", "ending slots")
    with pytest.raises(SetupError) as caught:
        RAY.require((*SWEEP, gone))
    assert caught.value.message.endswith(
        "TrialProgressCallback (turning off Tune's own printing); "
        "ray.train.v3.Controller (ending slots)"
    )


def test_a_sweep_is_refused_before_ray_is_started(monkeypatch):
    forget(monkeypatch, ray_private.RUN_CONTROLLER)
    before = ray.is_initialized()
    with (
        pytest.raises(SetupError, match=r"lacks .*_initialize_and_run_controller"),
        connected(None),
    ):
        pass
    assert ray.is_initialized() == before


def test_a_cluster_whose_head_is_not_marked(monkeypatch):
    nodes = [{"Resources": {"CPU": 2.0}}, {"Resources": {"CPU": 1.0, ray_private.HEAD: 1.0}}]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    ray_private.require_head()
    del nodes[1]
    with pytest.raises(SetupError, match=r"lacks the resource node:__internal_head__ \("):
        ray_private.require_head()


def test_a_cluster_file_is_not_read(monkeypatch):
    forget(monkeypatch, ray_private.PREPARE)
    with pytest.raises(SetupError, match=r"lacks ray.autoscaler._private.util.prepare_config"):
        Launcher()


def test_a_schema_that_moved(monkeypatch, tmp_path):
    launcher = Launcher()
    monkeypatch.setattr(ray, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(SetupError, match=r"lacks \S+ray-schema.json \(checking a cluster file\)"):
        launcher.schema()


def test_a_pool_of_slots_names_what_ray_train_lacks(monkeypatch):
    forget(monkeypatch, ray_private.TRAINER)
    with pytest.raises(SetupError, match=r"lacks \S+DataParallelTrainer\."):
        EndableTrainer.of(print)


def test_a_trainer_is_watched_by_nobody(monkeypatch):
    monkeypatch.setenv("RAY_TRAIN_ENABLE_STATE_TRACKING", "1")
    trainer = TorchTrainer(print)
    names = [type(c).__name__ for c in trainer._create_default_callbacks()]
    left_out = {"PlacementGroupCleanerCallback", "DatasetsCallback", "StateManagerCallback"}
    assert left_out < set(names)
    EndableTrainer(trainer)
    rest = [type(c).__name__ for c in trainer._create_default_callbacks()]
    assert rest == [name for name in names if name not in left_out]


def test_a_trainer_that_was_ended_does_not_begin(monkeypatch):
    trainer = EndableTrainer(TorchTrainer(print))
    trainer.end()
    with pytest.raises(RuntimeError, match="ended before it began"):
        trainer._run_controller(scaling_policy=SimpleNamespace())


class Place:
    """A placement group, which may be left."""

    left = False

    def shutdown(self) -> None:
        self.left = True


class Watcher(WorkerGroupCallback):
    """Has a process of its own for every group."""

    watches = True

    def after_worker_group_abort(self, worker_group_context: object) -> None:
        self.watches = False


def test_nothing_stays_of_a_group_that_is_ended(monkeypatch):
    """Of Ray's own classes, with what raykd uses of them that has no name to look for."""
    ended: list[object] = []
    monkeypatch.setattr(f"{WorkerGroupState.__module__}._shutdown_sync_actor", ended.append)
    run = SimpleNamespace(
        run_config=SimpleNamespace(storage_context="kept here"), backend_config=None
    )
    size, watcher, place = SimpleNamespace(num_workers=2), Watcher(), Place()
    group = _group()(run, size, [watcher])
    assert (group._train_run_context, group._worker_group_context) == (run, size)
    assert (group._storage_context, group._worker_callbacks_to_propagate) == ("kept here", [])
    group._worker_group_state = WorkerGroupState(
        start_time=0.0, placement_group_handle=place, workers=[], sync_actor="waits for ranks"
    )
    group.placed = place
    groups = _Groups(threading.Event())
    groups._last = group
    groups.kill()
    assert (ended, watcher.watches, place.left) == (["waits for ranks"], False, True)


def test_a_worker_that_has_only_variables_asks_for_nothing_else():
    requested = json.loads(RuntimeEnvContext(env_vars={"A": "b"}).serialize())
    assert (requested.pop("env_vars"), requested.pop("py_executable")) == (
        {"A": "b"},
        sys.executable,
    )
    assert not any(requested.values())


def test_trials_are_given_no_credentials(monkeypatch):
    names = {"AWS_SECRET_ACCESS_KEY", "TUNE_SOMETHING"}
    monkeypatch.setattr("ray.tune.execution.class_cache.ENV_VARS_TO_PROPAGATE", names)
    ray_private.keep_credentials_from_trials()
    assert names == {"TUNE_SOMETHING"}


def test_a_search_is_refused_before_its_study_is_made(monkeypatch, tmp_path):
    forget(monkeypatch, optuna_private.LAZY_GENERATOR)
    with pytest.raises(SetupError, match=r"Optuna .* lacks optuna.samplers._lazy_random_state"):
        study(tmp_path)


def test_a_study_that_keeps_its_storage_elsewhere(tmp_path):
    made = study(tmp_path).study
    made.ask()
    del made._storage
    with pytest.raises(SetupError, match=r"Optuna .* lacks optuna.study.Study._storage"):
        put_back(made, 0)


def test_a_model_is_not_built(monkeypatch):
    forget(monkeypatch, transformers_private.INIT)
    with pytest.raises(SetupError, match=r"transformers .* lacks .*_init_weights"):
        transformers_private.without_weights(None, None)


def private_names(source: str) -> list[str]:
    """What code uses of the three libraries by a name that is not public.

    It has an underscore in front, or is of the package that Ray Train keeps its second version in.
    """
    actual = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            actual += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            actual += [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            actual.append(ast.unparse(node))
    return [
        n
        for n in actual
        if n.startswith("ray.train.v2.")
        or (n.startswith(("ray.", "optuna.", "transformers.")) and "._" in n.replace(".__", "."))
    ]


def test_no_other_file_names_private_api():
    actual = {p.name: private_names(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")}
    assert not {name: names for name, names in actual.items() if names}


@pytest.mark.parametrize(
    ("source", "actual"),
    [
        ("from ray._private import worker", ["ray._private.worker"]),
        ("ray._raylet", ["ray._raylet"]),
        ("from ray.train.v2.api.config import x", ["ray.train.v2.api.config.x"]),
        ("from optuna.samplers._tpe import x", ["optuna.samplers._tpe.x"]),
        ("import ray.autoscaler._private.util", ["ray.autoscaler._private.util"]),
        ("ray.__version__; raykd._x; from ray import tune", []),
    ],
)
def test_the_search_for_private_names_finds_them(source, actual):
    assert private_names(source.replace("; ", "\n")) == actual


def test_what_ray_would_print_is_heard_and_does_not_stand_among_results(capsys):
    def say():
        output = {"lines": ["A worker died.", "Why?"], "pid": "raylet", "is_err": False}
        ray._private.worker.print_to_stdstream(output, ignore_prefix=False)

    heard: list[str] = []
    before = ray._private.worker.print_to_stdstream
    with ray_private.words_to(heard.append):
        say()
    assert (heard, capsys.readouterr().out) == (["A worker died.\nWhy?"], "")
    assert ray._private.worker.print_to_stdstream is before
