"""Machines that could be different tomorrow."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, NodeType, Rule
from raykd.clusters.document import mapping, mappings
from raykd.clusters.versions import images, requirements
from raykd.errors import Problem


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    installed = list(requirements(cluster))
    for requirement in installed:
        if not requirement.version:
            message = f"the version of {requirement.name} is left open: {requirement.written}"
            hint = f"{requirement.name}==VERSION; workers that join later would get another one"
            yield cluster.document.problem(requirement.place, message, hint)
    for image in images(cluster):
        if not image.is_pinned:
            message = f"the image may be another one tomorrow: {image.written}"
            yield cluster.document.problem(image.place, message, "name a version, or a digest")
    for node in cluster.node_types():
        yield from _machine_image(cluster, node)
    if not any(requirement.name == "raykd" for requirement in installed) and not any(
        images(cluster)
    ):
        message = "nothing here installs raykd on the machines"
        hint = "leave it so if their image has it; else see setup_commands of cluster/aws.yaml"
        yield cluster.document.problem(("setup_commands",), message, hint, "warning")


def _machine_image(cluster: ClusterFile, node: NodeType) -> Iterator[Problem]:
    config = node.node_config
    place = (*node.place, "node_config")
    if cluster.provider == "aws" and "LaunchTemplate" not in config:
        image = str(config.get("ImageId", ""))
        if not image.startswith("ami-"):
            got = f"'{image}'" if image else "none, for which Ray takes an old one of its own"
            message = f"ImageId must be an image id (ami-...), got {got}"
            hint = "the comments of cluster/aws.yaml say how to find one"
            yield cluster.document.problem((*place, "ImageId"), message, hint)
    if cluster.provider == "gcp":
        for k, disk in mappings(config.get("disks")):
            image = str(mapping(disk.get("initializeParams")).get("sourceImage", ""))
            if "/family/" in image:
                message = f"an image family is another image tomorrow: {image}"
                hint = "gcloud compute images describe-from-family prints the image it is today"
                yield cluster.document.problem((*place, "disks", k), message, hint)
    if cluster.provider == "azure":
        arm = mapping(config.get("azure_arm_parameters"))
        if not arm.get("imageId") and arm.get("imageVersion", "latest") == "latest":
            message = "imageVersion 'latest' is another image tomorrow"
            hint = "az vm image list --all --publisher ... prints the versions"
            where = (*place, "azure_arm_parameters", "imageVersion")
            yield cluster.document.problem(where, message, hint)


RULE = Rule(help="raykd, Ray and the images are pinned.", check=_check)
