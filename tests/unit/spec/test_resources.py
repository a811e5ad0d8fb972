from __future__ import annotations

from raykd.spec.resources import check_resources
from raykd.spec.schema_stages import ResourceSpec


def test_more_gpus_than_the_largest_node_has():
    problem = check_resources(
        ResourceSpec(workers=1, gpus_per_worker=2),
        [{"cpus": 8, "gpus": 1}, {"cpus": 64, "gpus": 0}],
    )
    assert problem is not None
    assert problem.path == "resources.gpus_per_worker"
    assert problem.message == "a trial requests 1 worker x 2 GPUs, the largest node has 1"
    assert problem.hint == "lower gpus_per_worker, or raise workers to spread a trial over nodes"


def test_more_cpus_than_the_largest_node_has():
    problem = check_resources(ResourceSpec(workers=2, cpus_per_worker=4), [{"cpus": 2, "gpus": 0}])
    assert problem is not None
    assert problem.path == "resources.cpus_per_worker"
    assert problem.message == "a trial requests 2 workers x 4 CPUs, the largest node has 2"


def test_workers_that_fit_one_by_one_but_not_together():
    nodes = [{"cpus": 4, "gpus": 0}, {"cpus": 2, "gpus": 1}]
    problem = check_resources(ResourceSpec(workers=2, cpus_per_worker=2, gpus_per_worker=1), nodes)
    assert problem is not None
    assert problem.path == "resources.workers"
    assert problem.message == (
        "a trial requests 2 workers x (2 CPUs and 1 GPUs), the cluster has room for 1 "
        "(nodes: 4 CPUs and 0 GPUs, 2 CPUs and 1 GPUs)"
    )


def test_what_fits_is_no_problem():
    nodes = [{"cpus": 1, "gpus": 1}, {"cpus": 1, "gpus": 0}]
    assert check_resources(ResourceSpec(), nodes) is None
    assert check_resources(ResourceSpec(workers=2), nodes) is None
    tenth = ResourceSpec(workers=10, cpus_per_worker=0.1, gpus_per_worker=0.1)
    assert check_resources(tenth, nodes) is None


def test_no_node_at_all():
    problem = check_resources(ResourceSpec(), [])
    assert problem is not None
    assert problem.message == "a trial requests 1 worker x 1 CPU, the largest node has 0"
