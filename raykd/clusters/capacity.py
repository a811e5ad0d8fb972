"""What a cluster holds, and how many slots of which shape fit on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raykd.clusters import nodes
from raykd.clusters.nodes import Node
from raykd.errors import Problem, SpecError
from raykd.spec.resources import check_resources
from raykd.spec.schema import SweepSpec
from raykd.spec.schema_stages import ResourceSpec
from raykd.training.device import built_for_gpus
from raykd.trial.slot_pool import SlotShape


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """What a sweep runs on.

    Attributes:
        nodes: Those that may hold slots.
        store_bytes: Capacity of the object stores together.
        shape: What a slot holds.
        slots: How many run at the same time, once the cluster is as large as it may become.
        elastic: Whether nodes may come and go.
    """

    nodes: tuple[Node, ...]
    store_bytes: int
    shape: SlotShape
    slots: int
    elastic: bool


def survey(spec: SweepSpec, *, elastic: bool = False) -> Cluster:
    """What the connected cluster holds and how many slots fit.

    Args:
        spec: The sweep.
        elastic: Whether nodes may come and go, which those of a local cluster do not.

    Raises:
        SpecError: No node can hold what a trial requests.
        SetupError: What an autoscaler could add cannot be read.
    """
    labels = spec.resources.labels
    everything = nodes.alive()
    here = tuple(n for n in everything if n.has(labels))
    more = tuple(n for n in nodes.addable() if n.has(labels)) if elastic else ()
    shape = slot_shape(spec.resources, here + more)
    wanted = spec.search.max_concurrent
    could_hold = here + more
    if not could_hold:
        no_node = Problem(
            path="resources.labels",
            message=f"no node of the cluster has the labels {dict(labels)}",
            hint="start nodes with ray start --labels KEY=VALUE, or leave resources.labels out",
        )
        raise SpecError(problems=[no_node])
    problem = check_resources(
        spec.resources, [{"cpus": n.cpus, "gpus": n.gpus} for n in could_hold]
    )
    if problem is not None:
        raise SpecError(problems=[problem])
    fitting = max(1, sum(n.ranks(shape) for n in could_hold) // shape.workers)
    if wanted != "auto":
        # On a cluster that grows, more may be requested than it holds now.
        fitting = wanted if elastic else min(fitting, wanted)
    runs = max(spec.search_trials * len(spec.methods), len(spec.tasks))
    return Cluster(
        nodes=here,
        store_bytes=sum(n.store_bytes for n in everything),
        shape=shape,
        slots=min(fitting, runs),
        elastic=elastic,
    )


def slot_shape(resources: ResourceSpec, nodes: Sequence[Node]) -> SlotShape:
    """What a slot holds.

    ``gpus_per_worker: auto`` is one GPU where there are any, else none. Ray counts GPUs whether or
    not PyTorch can use them; if it was built for them here, it was on every node.

    Raises:
        SpecError: GPUs are requested, and PyTorch was built without.
    """
    built = built_for_gpus()
    gpus = resources.gpus_per_worker
    if gpus == "auto":
        gpus = 1.0 if built and any(n.gpus for n in nodes) else 0.0
    if gpus and not built:
        problem = Problem(
            path="resources.gpus_per_worker",
            message=f"{gpus:g} requested, but torch was built without CUDA",
            hint="install a torch with CUDA on every node, or set gpus_per_worker: 0",
        )
        raise SpecError(problems=[problem])
    memory = resources.memory_gb_per_worker
    return SlotShape(
        workers=resources.workers,
        cpus=float(resources.cpus_per_worker),
        gpus=float(gpus),
        labels=dict(resources.labels),
        memory_gb=None if memory is None else float(memory),
    )
