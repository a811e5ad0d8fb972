"""What the processes of a sweep import of other packages before its first step.

Each import costs every one of them CPU time, so that none is there in vain. What is imported in a
function does not count.
"""

from __future__ import annotations

import ast
import functools

import pytest

from tests.test_layering import FILES, Import, imports, module_of

PATHS = {module_of(path).removesuffix(".__init__"): path for path in FILES}
LIGHT = {"torch", "transformers", "optuna", "scipy", "plotly", "pyarrow", "pandas", "datasets"}


@functools.cache
def imported_at_once(module: str) -> tuple[Import, ...]:
    """What a module of raykd imports itself when it is imported."""
    actual = imports(ast.parse(PATHS[module].read_text(encoding="utf-8")))
    return tuple(i for i in actual if not i.is_late and not i.is_type)


def imported_by(module: str) -> set[Import]:
    """What is imported together with a module of raykd, by it or by those that it imports."""
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if not name:
            continue
        waiting.append(name.rpartition(".")[0])  # the package, or the module of an imported name
        if name in PATHS and name not in seen:
            seen.add(name)
            waiting += [i.name for i in imported_at_once(name)]
    return {i for name in seen for i in imported_at_once(name)}


def packages(module: str) -> set[str]:
    return {i.package for i in imported_by(module)} - {"raykd"}


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("raykd.ray_private.setup_worker", {"ray", "numpy", *LIGHT}),
        ("raykd.clusters.fork_server", {"ray", "numpy", *LIGHT}),  # it says what it imports
        ("raykd.clusters.cluster_process", {"ray", "numpy", *LIGHT}),
        ("raykd.trial.coordinator", {"ray.train", "ray.tune", *LIGHT}),
        ("raykd.trial.tune_trainable", {"ray.train", *LIGHT}),
        ("raykd.trial.slot_pool", {"ray.tune", *LIGHT}),
        ("raykd.training.loop", {"ray", *LIGHT} - {"torch"}),  # what the fork server forks with
        ("raykd.trial.worker", {"ray.tune", *LIGHT} - {"torch"}),
        ("raykd.sweep.run", {"plotly", "pandas", "datasets"}),
    ],
)
def test_a_process_imports_only_what_it_needs(module, without):
    assert not packages(module) & without


def test_a_driver_waits_for_no_statistics():
    """``scipy.special`` is there by the time that Transformers is; the rest takes a second."""
    actual = {i.name for i in imported_by("raykd.sweep.run") if i.package == "scipy"}
    assert actual == {"scipy.special"}


def test_the_check_sees_what_is_imported_indirectly():
    assert "plotly" in packages("raykd.report.build")
    assert "torch" in packages("raykd.trial.worker")
    assert "scipy" in packages("raykd.sweep.run")
