"""How this process computes: its products of float32, and kernels that give the same every time.

A trial is a function of its configuration and its seed (see `raykd.training.seeding`). On a GPU
that needs more than seeds: some kernels add up in the order in which threads arrive, so that two
trainings of one seed end with other weights, and one that was cut off and resumed with others than
it would have had. PyTorch has a kernel of a fixed order for most of them. The backward pass of its
fused attention has one, too, but PyTorch takes it only where an operation without such a kernel is
an error, which would refuse whole methods: rows longer than its blocks of keys (64 or 128 tokens)
are equal to the bit with ``train.attention: eager`` alone.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch

from raykd.training.settings import FLOAT32_PRODUCTS

CUBLAS_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""The variable, and the larger of its values with which cuBLAS adds up in one order (32 MiB a
process); read when a process first uses a GPU."""


def set_arithmetic() -> None:
    """Let this process compute as all of a sweep do; its environment has `CUBLAS_WORKSPACE`.

    Matrices of float32 are multiplied as `FLOAT32_PRODUCTS` says. Where there is a GPU, kernels are
    those that give the same result every time; an operation that has none is used as it is. Both
    hold for all that this process computes from then on.
    """
    torch.set_float32_matmul_precision(FLOAT32_PRODUCTS)
    torch.backends.cudnn.allow_tf32 = FLOAT32_PRODUCTS != "highest"
    if torch.cuda.is_available():
        _set_reproducible()


def _set_reproducible() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing reads memory before it is written; filling it would take a pass each time.
    settings: Any = torch.utils.deterministic  # its types lack it
    settings.fill_uninitialized_memory = False
    warnings.filterwarnings("ignore", message=".* does not have a deterministic implementation")
    warnings.filterwarnings("ignore", message=".* defaults to a non-deterministic algorithm")
