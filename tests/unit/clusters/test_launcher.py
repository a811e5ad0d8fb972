from __future__ import annotations

import copy

import pytest
import yaml

from raykd.clusters import launcher
from raykd.clusters.document import read_documents
from raykd.errors import SpecError
from tests.unit.clusters.faultless import AWS


@pytest.fixture
def load(tmp_path):
    def make(changes=None, text=None):
        config = copy.deepcopy(AWS) | (changes or {})
        file = tmp_path / "f.yaml"
        file.write_text(text or yaml.safe_dump(config, sort_keys=False))
        (document,) = read_documents(str(file))
        return launcher.load(document)

    return make


def refused(load, **given):
    with pytest.raises(SpecError) as caught:
        load(**given)
    return caught.value.problems()


def test_defaults_of_ray_are_filled_in(load):
    config = load()
    assert config["available_node_types"]["gpu"]["min_workers"] == 0
    assert config["upscaling_speed"] == 1.0


def test_resources_may_be_left_to_aws(load):
    types = copy.deepcopy(AWS["available_node_types"])
    del types["gpu"]["resources"]
    assert load({"available_node_types": types})["available_node_types"]["gpu"]["resources"] == {}


def test_resources_may_not_be_left_to_others(load):
    text = (
        "cluster_name: t\nmax_workers: 1\nhead_node_type: head\n"
        "provider: {type: gcp, region: r, availability_zone: z, project_id: p}\n"
        "available_node_types: {head: {node_config: {}}}\n"
    )
    (problem,) = refused(load, text=text)
    assert problem.path == "available_node_types.head.resources"
    assert problem.message == "'resources' is required and not given"


def test_an_unknown_key(load):
    (problem,) = refused(load, changes={"max_worker": 3})
    assert problem.path == "max_worker"
    assert problem.message == "unknown key 'max_worker'"
    assert problem.hint == "did you mean 'max_workers'?"
    assert problem.source == "max_worker: 3"


def test_all_mistakes_at_once(load):
    types = copy.deepcopy(AWS["available_node_types"])
    types["gpu"]["node_confg"] = {}
    types["gpu"]["max_workers"] = "3"
    changes = {"cluster_name": 5, "available_node_types": types, "nosuch": 1}
    output = {p.path: p.message for p in refused(load, changes=changes)}
    assert output == {
        "cluster_name": "must be of type string, got 5",
        "available_node_types.gpu.max_workers": 'must be of type integer, got "3"',
        "available_node_types.gpu.node_confg": "unknown key 'node_confg'",
        "nosuch": "unknown key 'nosuch'",
    }


def test_an_unknown_provider(load):
    (problem,) = refused(load, changes={"provider": {"type": "awss"}})
    assert problem.path == "provider.type"
    assert problem.message == "unknown provider 'awss'"
    assert problem.hint == "did you mean 'aws'?"


@pytest.mark.parametrize("provider", [None, "aws", {"region": "r"}, {"type": 3}])
def test_no_provider(load, provider):
    (problem,) = refused(load, changes={"provider": provider})
    assert problem.message == "not a ray up file: provider.type is not given"


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("- a\n", "not a ray up file: expected sections (key: value), got a list"),
        ("a\n", "not a ray up file: expected sections (key: value), got a single value"),
        ("tasks: [a]\nmethods: {}\n", "not a ray up file: it is a search space"),
    ],
)
def test_other_files(load, text, output):
    (problem,) = refused(load, text=text)
    assert problem.message == output


def test_what_only_rays_own_function_finds(load):
    (problem,) = refused(load, changes={"head_node_type": "nosuch"})
    assert "`head_node_type` must be one of `available_node_types`" in problem.message


@pytest.mark.parametrize("types", [[1], {"head": 3}, "a"])
def test_node_types_that_are_none(load, types):
    (problem, *_) = refused(load, changes={"available_node_types": types})
    assert problem.path.startswith("available_node_types")


def test_what_ray_refuses_of_own_machines(load, capfd):
    text = "cluster_name: t\nprovider: {type: local, head_ip: a}\n"
    (problem,) = refused(load, text=text)
    assert problem.path == "provider"
    assert "head_ip` and list of `worker_ips`" in problem.message
    assert capfd.readouterr() == ("", "")


def test_a_file_for_own_machines(load):
    text = "cluster_name: t\nprovider: {type: local, head_ip: a, worker_ips: [b, c]}\n"
    assert load(text=text)["max_workers"] == 2
