"""What raykd uses of Ray beyond its public API: all of it is looked for, in one place."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest
import ray
from ray.train.torch import TorchTrainer

from raykd import ray_private
from raykd.clusters.connection import connected
from raykd.errors import SetupError
from raykd.ray_private import CLUSTER_FILES, SWEEP, EndableTrainer, Launcher, Part, require

PACKAGE = Path(ray_private.__file__).parent


def forget(monkeypatch: pytest.MonkeyPatch, part: Part) -> None:
    """Take a part out of Ray, as a new version may."""
    *owner, name = part.name.split(".")
    found = importlib.import_module(part.module)
    for step in owner:
        found = getattr(found, step)
    monkeypatch.delattr(found, name)


def message_of(parts: tuple[Part, ...]) -> str:
    with pytest.raises(SetupError) as caught:
        require(parts)
    (problem,) = caught.value.problems()
    assert problem.hint == "install a version that raykd was tested with: pip install 'ray==2.60.*'"
    return problem.message


def test_the_installed_ray_has_everything():
    require(SWEEP)
    require(CLUSTER_FILES)
    assert Launcher().schema()["properties"]["cluster_name"]


@pytest.mark.parametrize("part", [*SWEEP, *CLUSTER_FILES], ids=lambda part: part.name)
def test_a_missing_name_is_named_with_the_version_and_the_purpose(part, monkeypatch):
    forget(monkeypatch, part)
    assert message_of(SWEEP if part in SWEEP else CLUSTER_FILES) == (
        f"raykd does not work with Ray {ray.__version__}, which lacks {part.module}.{part.name} "
        f"({part.purpose})"
    )


def test_everything_that_is_missing_is_in_one_message(monkeypatch):
    gone = Part("ray.train.v3", "Controller", "ending slots")
    forget(monkeypatch, ray_private.PROGRESS)
    message = message_of((*SWEEP, gone))
    assert "ray.train.v3.Controller (ending slots)" in message
    assert "TrialProgressCallback (turning off Tune's own printing); ray.train.v3" in message


def test_a_sweep_is_refused_before_ray_is_started(monkeypatch):
    forget(monkeypatch, ray_private.RUN_CONTROLLER)
    with (
        pytest.raises(SetupError, match=r"lacks .*_initialize_and_run_controller"),
        connected(None),
    ):
        pass
    assert not ray.is_initialized()


def test_a_cluster_file_is_not_read(monkeypatch):
    forget(monkeypatch, ray_private.PREPARE)
    with pytest.raises(SetupError, match=r"lacks ray.autoscaler._private.util.prepare_config"):
        Launcher()


def test_a_schema_that_moved(monkeypatch, tmp_path):
    launcher = Launcher()
    monkeypatch.setattr(ray, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(SetupError, match=r"lacks \S+ray-schema.json \(checking a cluster file\)"):
        launcher.schema()


def test_a_trainer_is_watched_by_nobody():
    trainer = TorchTrainer(print)
    names = [type(c).__name__ for c in trainer._create_default_callbacks()]
    assert "PlacementGroupCleanerCallback" in names
    EndableTrainer(trainer, here={})
    rest = [type(c).__name__ for c in trainer._create_default_callbacks()]
    assert rest == [n for n in names if n != "PlacementGroupCleanerCallback"]


def test_a_trainer_that_was_ended_does_not_begin(monkeypatch):
    trainer = EndableTrainer(TorchTrainer(print), here={})
    trainer.end()
    with pytest.raises(RuntimeError, match="ended before it began"):
        trainer._run_controller()


def test_trials_are_given_no_credentials(monkeypatch):
    names = {"AWS_SECRET_ACCESS_KEY", "TUNE_SOMETHING"}
    monkeypatch.setattr("ray.tune.execution.class_cache.ENV_VARS_TO_PROPAGATE", names)
    ray_private.keep_credentials_from_trials()
    assert names == {"TUNE_SOMETHING"}


def private_names(source: str) -> list[str]:
    """What code imports of Ray by a name with an underscore in front."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            found.append(ast.unparse(node))
    return [n for n in found if n.startswith("ray.") and "._" in n.replace(".__", ".")]


def test_no_other_file_names_private_parts_of_ray():
    found = {p.name: private_names(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")}
    assert not {name: names for name, names in found.items() if names}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from ray._private import worker", ["ray._private.worker"]),
        ("ray._raylet", ["ray._raylet"]),
        ("import ray.autoscaler._private.util", ["ray.autoscaler._private.util"]),
        ("ray.__version__; raykd._x; from ray import tune", []),
    ],
)
def test_the_search_for_private_names_finds_them(source, found):
    assert private_names(source.replace("; ", "\n")) == found
