"""raykd sweeps distillation methods and their coefficients on Ray, with one prepared teacher.

Public names are imported when they are first used, so that ``import raykd`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "sweep": "raykd.notebook.sweep",
    "load": "raykd.notebook.run",
    "load_spec": "raykd.spec.load",
    "load_results": "raykd.results.store",
    "build_report": "raykd.report.build",
    "Method": "raykd.methods.base",
    "LossTerms": "raykd.methods.base",
    "OutputSpec": "raykd.methods.base",
    "param": "raykd.params",
    "RaykdError": "raykd.errors",
}

__all__ = ["LossTerms", "Method", "OutputSpec", "RaykdError", "build_report", "load",
           "load_results", "load_spec", "param", "sweep"]  # fmt: skip

if TYPE_CHECKING:
    from raykd.errors import RaykdError
    from raykd.methods.base import LossTerms, Method, OutputSpec
    from raykd.notebook.run import load
    from raykd.notebook.sweep import sweep
    from raykd.params import param
    from raykd.report.build import build_report
    from raykd.results.store import load_results
    from raykd.spec.load import load_spec


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'raykd' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
