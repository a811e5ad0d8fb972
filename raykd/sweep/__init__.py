"""The order of a sweep: preflight, teachers, search, confirm, resume, and its records.

The package shares its name with the public function ``raykd.sweep``. Python binds a sub-package in
its parent as soon as any part of it is imported and would hide the function, so the package can be
called in its place.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from raykd.home_folder import stand_in

stand_in()  # before Ray is imported


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:  # those of `raykd.notebook.sweep.sweep`
        """Run a search space; see `raykd.notebook.sweep.sweep`."""
        return importlib.import_module("raykd.notebook.sweep").sweep(*args, **options)


sys.modules[__name__].__class__ = _Callable
