from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from raykd.clusters.check import check
from raykd.errors import SpecError


def group(image: str, limits: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "ray", "image": image, "resources": {"limits": limits}}
    return {"rayStartParams": {}, "template": {"spec": {"containers": [container]}}}


IMAGE = "rayproject/ray:2.60.0-py311"
CLUSTER: dict[str, Any] = {
    "apiVersion": "ray.io/v1",
    "kind": "RayCluster",
    "metadata": {"name": "c"},
    "spec": {
        "rayVersion": "2.60.0",
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "headGroupSpec": group(IMAGE, {"cpu": "2"}),
        "workerGroupSpecs": [
            {"groupName": "w", "minReplicas": 1, "maxReplicas": 3,
             **group(IMAGE, {"cpu": "3500m"})},
        ],
    },
}  # fmt: skip
HEAD = ("headGroupSpec", "template", "spec", "containers", 0)
HEAD_IMAGE = "spec.headGroupSpec.template.spec.containers[0].image"


@pytest.fixture
def checked(tmp_path, client):
    def make(*documents: dict[str, Any]):
        file = tmp_path / "k.yaml"
        file.write_text(yaml.safe_dump_all(documents, sort_keys=False))
        return check(str(file), client)

    return make


def changed(value: Any, *place: Any) -> dict[str, Any]:
    made = copy.deepcopy(CLUSTER)
    section = made["spec"]
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value
    return made


def test_a_cluster_without_a_fault(checked):
    actual = checked(CLUSTER)
    assert (actual.provider, actual.max_workers, actual.problems) == ("kuberay", 3, ())


def test_slots_are_whole_cpus(checked):
    actual = checked(CLUSTER).estimate
    assert (actual.unit, actual.slots) == ("CPU", 2 + 3 * 3)
    assert [(row.name, row.least, row.most) for row in actual.rows] == [("head", 1, 1), ("w", 1, 3)]
    assert actual.full is None


def test_what_ray_is_told_of_the_head_counts(checked):
    actual = checked(changed({"num-cpus": "0"}, "headGroupSpec", "rayStartParams"))
    assert actual.estimate.slots == 9


def test_slots_are_gpus_where_there_are_any(checked):
    limits = {"cpu": "8", "nvidia.com/gpu": 2}
    made = changed(
        limits, "workerGroupSpecs", 0, "template", "spec", "containers", 0, "resources", "limits"
    )
    assert (checked(made).estimate.unit, checked(made).estimate.slots) == ("GPU", 6)


@pytest.mark.parametrize(
    ("made", "level", "path", "output"),
    [
        (changed("own", *HEAD, "image"), "error", HEAD_IMAGE,
         "may be another one tomorrow: own"),
        (changed("rayproject/ray:2.59.0", *HEAD, "image"), "error", HEAD_IMAGE,
         "has Ray 2.59.0, rayVersion says"),
        (changed("x/SET-ME:1.0", *HEAD, "image"), "warning", HEAD_IMAGE,
         "still to be filled in"),
        (changed({"mode": "disabled"}, "authOptions"), "error", "spec.authOptions", "not token"),
        (changed(False, "enableInTreeAutoscaling"), "warning", "spec", "whether there is work"),
    ],
)  # fmt: skip
def test_faults(checked, made, level, path, output):
    (problem,) = checked(made).problems
    assert (problem.level, problem.path) == (level, path)
    assert output in problem.message


def test_another_ray_than_here(checked):
    problems = checked(changed("2.59.0", "rayVersion")).problems
    assert problems[0].message == "rayVersion is 2.59.0, this machine has 2.60.0"
    assert {p.level for p in problems} == {"error"}


def test_a_job_may_bring_its_cluster(checked):
    job = {"apiVersion": "ray.io/v1", "kind": "RayJob", "spec": {"rayClusterSpec": CLUSTER["spec"]}}
    assert checked(job).problems == ()
    assert checked(job).estimate.slots == 11


def test_other_kinds_of_kubernetes_are_left_alone_and_those_of_ray_are_not(checked):
    assert checked(CLUSTER, {"apiVersion": "v1", "kind": "Secret"}).problems == ()
    (problem,) = checked(CLUSTER, {"apiVersion": "ray.io/v1", "kind": "RayClusters"}).problems
    assert problem.message == "expected kind RayCluster or RayJob, got RayClusters"


def test_no_cluster_at_all(checked):
    with pytest.raises(SpecError, match="no Ray cluster here"):
        checked({"apiVersion": "v1", "kind": "Secret"})
