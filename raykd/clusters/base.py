"""The contract of a cluster rule, and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raykd.clusters.document import Document, Place
from raykd.errors import Problem

LAUNCHER_PACKAGES = ("boto3", "googleapiclient", "azure")
"""What Ray's launcher imports for one provider or another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """The machine that ``ray up`` is run on.

    Attributes:
        python: Its Python, as ``3.11``.
        ray: Version of its Ray.
        home: What ``~`` means in the file.
        folder: What relative paths of the file begin with.
        packages: Those of `LAUNCHER_PACKAGES` that are installed.
    """

    python: str
    ray: str
    home: Path
    folder: Path
    packages: frozenset[str]

    def path(self, written: str) -> Path:
        """A local path of the file, as ``ray up`` would find it."""
        if written == "~" or written.startswith("~/"):
            return self.home / written[2:]
        return self.folder / written


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeType:
    """One of the node types of a cluster file.

    Attributes:
        name: Its name.
        is_head: Whether the head is of this type.
        min_workers: How many run at all times.
        max_workers: How many may run.
        resources: What Ray schedules on, e.g. ``{"CPU": 4, "GPU": 1}``; empty if not stated.
        node_config: What is requested of the provider.
    """

    name: str
    is_head: bool
    min_workers: int
    max_workers: int
    resources: Mapping[str, float]
    node_config: Mapping[str, Any]  # the provider's own format

    @property
    def place(self) -> Place:
        """Where it stands in the file."""
        return ("available_node_types", self.name)

    @property
    def gpus(self) -> float:
        """GPUs of one such machine."""
        return self.resources.get("GPU", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterFile:
    """A file for ``ray up``, as written and with Ray's defaults filled in.

    Attributes:
        document: What the user wrote.
        config: What Ray makes of it.
        client: The machine that ``ray up`` is run on.
    """

    document: Document
    config: Mapping[str, Any]  # Ray's own format
    client: Client

    @property
    def provider(self) -> str:
        """Type of the provider: ``aws``, ``local`` ..."""
        return str(self.config["provider"]["type"])

    @property
    def max_workers(self) -> int:
        """Most machines besides the head."""
        return int(self.config["max_workers"])

    def node_types(self) -> tuple[NodeType, ...]:
        """The node types, the head's first."""
        head = self.config["head_node_type"]
        types = [
            NodeType(
                name=name, is_head=name == head,
                min_workers=int(given.get("min_workers", 0)),
                max_workers=int(given.get("max_workers", 0)),
                resources=given.get("resources") or {}, node_config=given["node_config"],
            )
            for name, given in self.config["available_node_types"].items()
        ]  # fmt: skip
        return tuple(sorted(types, key=lambda node: not node.is_head))

    def commands(self, *keys: str) -> Iterator[tuple[Place, str]]:
        """The shell commands of some sections, those of Ray's defaults too, with their places."""
        for key in keys:
            given = self.config.get(key) or ()
            if key in ("head_setup_commands", "worker_setup_commands"):
                # Ray has put the common commands before those of head and workers.
                given = given[len(self.config.get("setup_commands") or ()) :]
            yield from (((key, k), str(command)) for k, command in enumerate(given))
            for name, node_type in self.config["available_node_types"].items():
                for k, command in enumerate(node_type.get(key) or ()):
                    yield ("available_node_types", name, key, k), str(command)


SETUP = ("initialization_commands", "setup_commands", "head_setup_commands",
         "worker_setup_commands")  # fmt: skip
"""Sections whose commands prepare a machine."""

START = ("head_start_ray_commands", "worker_start_ray_commands")
"""Sections whose commands start Ray."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One thing that is looked at; a file in ``rules/`` holds one as ``RULE``.

    Attributes:
        help: What it requires, in one sentence.
        check: Gives a problem for every place that breaks it.
    """

    help: str
    check: Callable[[ClusterFile], Iterator[Problem]]
