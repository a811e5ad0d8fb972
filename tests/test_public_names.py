"""The public names of raykd, and what importing them costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import raykd

# Changing this list is changing what users may rely on: say so in CHANGELOG.md.
PUBLIC = {
    "LossTerms": "raykd.methods.base",
    "Method": "raykd.methods.base",
    "OutputSpec": "raykd.methods.base",
    "RaykdError": "raykd.errors",
    "build_report": "raykd.report.build",
    "load": "raykd.notebook.run",
    "load_results": "raykd.results.store",
    "load_spec": "raykd.spec.load",
    "param": "raykd.params",
    "sweep": "raykd.notebook.sweep",
}


def in_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_these():
    assert raykd.__all__ == list(PUBLIC)


@pytest.mark.parametrize("name", [n for n in PUBLIC if n != "sweep"])
def test_a_public_name_is_the_object_of_its_module(name):
    assert getattr(raykd, name) is getattr(importlib.import_module(PUBLIC[name]), name)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_a_docstring(name):
    assert inspect.getdoc(getattr(raykd, name))


def test_sweep_is_the_function_also_after_the_package_of_that_name_was_imported():
    code = """
import raykd
from raykd import sweep
from raykd.sweep import arm_studies

assert raykd.sweep.arm_studies is arm_studies
for run in (sweep, raykd.sweep):
    try:
        run("no_such_file.yaml")
    except raykd.RaykdError as exc:
        print(exc.exit_code)
"""
    assert in_new_process(code).split() == ["2", "2"]


def test_importing_raykd_imports_nothing_heavy():
    code = "import sys, raykd\nprint(*sorted({m.partition('.')[0] for m in sys.modules}))"
    assert not {"torch", "ray", "numpy", "transformers", "optuna"} & set(
        in_new_process(code).split()
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'raykd' has no attribute 'swep'"):
        getattr(raykd, "swep")  # noqa: B009  # the point is the lookup
