"""Processes of their own that begin with everything imported.

A process that trains pays some seconds for imports. These are forked from one that has paid them
and has done nothing else, neither threads nor Ray; it is started with the first of them. Use
`subprocess` where a start itself is looked at, or what differs between interpreters (hashes).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import torch.multiprocessing

from raykd.cli.main import main

IMPORTED = (
    "torch.distributed", "torch.multiprocessing", "pytest", "transformers.generation.utils",
    "transformers.models.bert.modeling_bert", "transformers.models.bert.tokenization_bert",
    "transformers.models.gpt2.modeling_gpt2", "transformers.models.t5.modeling_t5",
    "raykd.cli.teacher", "raykd.sweep.in_process", "raykd.training.loop", "tests.small_pairs",
)  # fmt: skip


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED])
    return context


def on_processes(run: Callable[..., None], size: int, *given: Any) -> None:
    """Run ``run(rank, *given)`` in processes, and wait for them.

    Raises:
        torch.multiprocessing.ProcessRaisedException: One of them failed.
    """
    _context()
    torch.multiprocessing.start_processes(run, given, nprocs=size, start_method="forkserver")


class Command:
    """A ``raykd`` command that runs here, in this folder and with this environment."""

    def __init__(self, out: Path, *arguments: str) -> None:
        self.out = out
        self.process: ForkServerProcess = _context().Process(
            target=_command, args=(arguments, str(out), os.getcwd(), dict(os.environ)), daemon=True
        )
        self.process.start()

    def output(self) -> str:
        """What it has printed so far, errors included."""
        return self.out.read_text() if self.out.exists() else ""

    def says(self, words: str, seconds: float = 120.0) -> bool:
        """Whether it prints something before it ends, or in some time."""
        until = time.monotonic() + seconds
        while words not in self.output() and self.process.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        return words in self.output()

    def wait(self, seconds: float = 120.0) -> int | None:
        """Its exit code; None while it runs."""
        self.process.join(seconds)
        return self.process.exitcode


def _command(
    arguments: tuple[str, ...], out: str, folder: str, environment: dict[str, str]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with open(out, "w") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sys.exit(main([*arguments]))
