"""Files for KubeRay: checks without the schema, which the operator in the cluster has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raykd.clusters.base import Client
from raykd.clusters.document import Document, Place, mapping, mappings
from raykd.clusters.estimate import Estimate, NodeCost, total
from raykd.clusters.rules.to_fill_in import to_fill_in
from raykd.clusters.versions import Image
from raykd.errors import Problem, SpecError

KINDS = ("RayCluster", "RayJob")
_GROUP = "ray.io/"
_GPU = "nvidia.com/gpu"
_CONTAINERS = ("template", "spec", "containers")


def is_kuberay(documents: tuple[Document, ...]) -> bool:
    """Whether the file is for Kubernetes."""
    return any(document.get("apiVersion") is not None for document in documents)


def check(documents: tuple[Document, ...], client: Client) -> tuple[list[Problem], Estimate]:
    """Problems of a file for KubeRay, and what its first cluster holds.

    Raises:
        SpecError: The file describes no Ray cluster.
    """
    resources = [d for d in documents if str(d.get("apiVersion") or "").startswith(_GROUP)]
    problems = [
        d.problem(("kind",), f"expected kind {' or '.join(KINDS)}, got {d.get('kind')}")
        for d in resources
        if d.get("kind") not in KINDS
    ]
    clusters = [(d, _spec(d)) for d in resources if isinstance(d.get(*_spec(d)), dict)]
    if not clusters:
        message = f"no Ray cluster here: no {' or '.join(KINDS)} of {_GROUP}v1 with a cluster spec"
        raise SpecError(problems=[*problems, documents[0].problem((), message)])
    for document, spec in clusters:
        problems += _problems(document, spec, client)
    for document in documents:
        problems += to_fill_in(document)
    return problems, _estimate(*clusters[0])


def _spec(document: Document) -> Place:
    """Where the cluster stands; a job may bring one."""
    return ("spec", "rayClusterSpec") if document.get("kind") == "RayJob" else ("spec",)


def _problems(document: Document, spec: Place, client: Client) -> Iterator[Problem]:
    stated = document.get(*spec, "rayVersion")
    if stated is not None and str(stated) != client.ray:
        message = f"rayVersion is {stated}, this machine has {client.ray}"
        yield document.problem((*spec, "rayVersion"), message, "the same version on both sides")
    for group in _groups(document, spec):
        for k, container in mappings(document.get(*group, *_CONTAINERS)):
            place = (*group, *_CONTAINERS, k, "image")
            image = Image(written=str(container.get("image", "")), place=place)
            yield from _image_problems(document, image, stated)
    if document.get(*spec, "authOptions", "mode") != "token":
        message = "authOptions.mode is not token: whoever reaches the head may run code on it"
        yield document.problem((*spec, "authOptions"), message, "authOptions: {mode: token}")
    if not document.get(*spec, "enableInTreeAutoscaling"):
        message = "without enableInTreeAutoscaling, workers run whether there is work or not"
        yield document.problem(spec, message, "enableInTreeAutoscaling: true", "warning")


def _image_problems(
    document: Document,
    image: Image,
    stated: Any,  # whatever the file holds
) -> Iterator[Problem]:
    if not image.is_pinned:
        message = f"the image may be another one tomorrow: {image.written or 'none is given'}"
        yield document.problem(image.place, message, "name a version, or a digest")
    elif image.ray and stated is not None and image.ray != str(stated):
        message = f"the image has Ray {image.ray}, rayVersion says {stated}"
        yield document.problem(image.place, message, "the same version in both places")


def _groups(document: Document, spec: Place) -> tuple[Place, ...]:
    """The head's group and those of the workers."""
    workers = mappings(document.get(*spec, "workerGroupSpecs"))
    every = ((*spec, "workerGroupSpecs", k) for k, _ in workers)
    return ((*spec, "headGroupSpec"), *every)


def _estimate(document: Document, spec: Place) -> Estimate:
    groups = _groups(document, spec)
    unit = "GPU" if any(_GPU in _limits(document, group) for group in groups) else "CPU"
    rows = tuple(_row(document, group, unit) for group in groups)
    return total(unit, rows, sum(row.most for row in rows[1:]))


def _row(document: Document, group: Place, unit: str) -> NodeCost:
    is_head = group[-1] == "headGroupSpec"
    given = mapping(document.get(*group))
    limits = _limits(document, group)
    slots = _quantity(limits.get(_GPU if unit == "GPU" else "cpu", 0))
    stated = mapping(given.get("rayStartParams")).get("num-cpus")
    if unit == "CPU" and stated is not None:
        slots = _quantity(stated)
    least = given.get("minReplicas", given.get("replicas", 0))
    return NodeCost(
        name="head" if is_head else str(given.get("groupName", f"workers {group[-1]}")),
        machine="",
        is_spot=False,
        least=1 if is_head else _quantity(least),
        most=1 if is_head else _quantity(given.get("maxReplicas", given.get("replicas", 0))),
        slots=slots,
        price=None,
    )


def _limits(document: Document, group: Place) -> Mapping[str, Any]:  # Kubernetes' own format
    return mapping(document.get(*group, *_CONTAINERS, 0, "resources", "limits"))


def _quantity(written: Any) -> int:  # a number, or text such as "500m"
    """Whole units; 0 for what is none, which the operator refuses."""
    text = str(written)
    digits, unit = (text[:-1], 1000) if text.endswith("m") else (text, 1)
    return int(float(digits) // unit) if digits.replace(".", "", 1).isdigit() else 0
