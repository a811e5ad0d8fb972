"""Asks the nodes once which number formats they have, so that every trial uses the same."""

from __future__ import annotations

from collections.abc import Sequence

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raykd.clusters.capacity import Cluster
from raykd.clusters.nodes import Node
from raykd.errors import SetupError
from raykd.training.device import Ability, choose_device

ASK_S = 120.0
"""A node that does not answer in this time is taken as one that can."""


def ability_of_nodes(cluster: Cluster) -> Ability:
    """What the devices of all nodes that hold slots can do.

    Nodes that come later do the same; one without the instructions computes it more slowly, or
    refuses it.

    Raises:
        SetupError: A node cannot be asked.
    """
    kind = "cuda" if cluster.shape.gpus else "cpu"
    here = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    fitting = [node for node in cluster.nodes if node.ranks(cluster.shape) > 0]
    if kind == "cpu" and all(node.address == here for node in fitting):
        return Ability.of(choose_device()) if fitting else Ability(kind, bf16=False)
    if not fitting:
        return Ability(kind, bf16=kind == "cuda")  # almost every GPU that is rented does
    return Ability(kind, bf16=all(_bf16_of(fitting, kind)))


def _bf16_of(nodes: Sequence[Node], kind: str) -> list[bool]:
    ask = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(_can)
    answers = [
        ask.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
            runtime_env={"env_vars": {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}},
        ).remote(kind)
        for node in nodes
    ]
    ready, _ = ray.wait(answers, num_returns=len(answers), timeout=ASK_S)
    try:
        return [bool(answer) for answer in ray.get(ready)]
    except ray.exceptions.RayError as exc:
        raise SetupError(
            f"cannot ask the nodes which number formats they have: {exc}",
            hint="set train.precision and teacher.finetune.precision to bf16 or fp32",
        ) from exc


def _can(kind: str) -> bool:
    """Whether this node multiplies bf16 in hardware, with the device that trials get."""
    import torch

    from raykd.training.device import has_bf16

    if kind == "cuda" and not torch.cuda.is_available():
        return True  # no trial can run here, and the slot will say why
    return has_bf16(torch.device(kind))
