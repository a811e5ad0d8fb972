"""Checks and measures everything on a GPU: ``python -m tests.gpu``.

Needs torch, transformers and this repository; with Ray two slots share the device, too. Prints one
table, takes less than ten minutes, and ends with 1 where something does not hold. ``--device cpu
--small`` runs the same code at tiny sizes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import torch
import transformers

from raykd.training.arithmetic import CUBLAS_WORKSPACE, set_arithmetic
from tests.gpu.checks import CHECKS, CheckFailed, Given, place_and_message
from tests.gpu.figures import FIGURES

ALL = {**CHECKS, **FIGURES}


def main(argv: list[str] | None = None) -> int:
    """Run what is asked for; 0 if all of it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ALL)}; all by default")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--small", action="store_true", help="tiny sizes and few methods")
    requested = parser.parse_args(argv)
    if unknown := set(requested.names) - set(ALL):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    device = torch.device(requested.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(f"no CUDA device for torch {torch.__version__}; --device cpu --small tries the code")
        return 2
    print(f"{_named(device)}, torch {torch.__version__}, transformers {transformers.__version__}")
    os.environ.setdefault(*CUBLAS_WORKSPACE)
    set_arithmetic()
    given = Given(device, small=requested.small)
    failed = [name for name in requested.names or ALL if not _holds(name, given)]
    print(f"failed: {', '.join(failed)}" if failed else "all of it holds")
    return 1 if failed else 0


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _holds(name: str, given: Given) -> bool:
    began = time.perf_counter()
    try:
        message, holds = ALL[name](given), True
    except Exception as exc:
        said = str(exc) if isinstance(exc, CheckFailed) else place_and_message(exc)
        message, holds = said.splitlines(), False
    seconds = time.perf_counter() - began
    for number, line in enumerate(message):
        verdict = "" if number else f"{'ok' if holds else 'FAILED':6} {seconds:6.1f} s"
        print(f"{name if not number else '':18} {verdict:15}  {line}", flush=True)
    return holds


if __name__ == "__main__":
    sys.exit(main())
