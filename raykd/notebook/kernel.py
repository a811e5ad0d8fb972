"""Whether this process is the kernel of a notebook, and what libraries say in one."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which shows HTML."""
    module: Any = sys.modules.get("IPython")  # a kernel has imported it
    shell = None if module is None else module.get_ipython()
    return getattr(shell, "kernel", None) is not None


def without_advice() -> None:
    """Keep libraries from asking for ipywidgets below the cell: nothing here is a widget."""
    warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm's
    logging.getLogger("ray.widgets.util").addFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "ipywidgets" not in record.getMessage()
