from __future__ import annotations

import pytest

GOOD = 'pip install "ray[default]==2.60.0" raykd==0.1.0'
CONFIG = "available_node_types/gpu/node_config"


def setup(command: str):
    return {"setup_commands": [command]}


@pytest.mark.parametrize(
    "command",
    [
        GOOD,
        'uv pip install "ray[default]==2.60.0" "raykd[cluster] @ file://$HOME/raykd-0.1.0-py3-none-any.whl"',
        "pip install ray==2.60.0 ~/raykd-0.1.0-py3-none-any.whl",
        f"{GOOD} && ray stop; echo ray",
        "pip install ray==2.60.0 raykd@git+https://host.example/raykd.git@v0.1.0",
    ],
)
def test_versions_without_a_choice_are_fine(broken, command):
    assert broken("pinned_versions", setup(command)) == []


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("raykd", "raykd"),
        ("raykd>=0.1", "raykd"),
        ("'raykd[cluster]'", "raykd"),
        ("raykd==0.*", "raykd"),
        ("raykd@git+https://host.example/raykd.git", "raykd"),
        ("raykd@git+https://host.example/raykd.git@main", "raykd"),
        ("-U ray raykd==0.1.0", "ray"),
        ("'ray[default]>=2.60,<2.61' raykd==0.1.0", "ray"),
    ],
)
def test_a_version_left_open_is_an_error(broken, written, name):
    (problem,) = broken("pinned_versions", setup(f"~/raykd-env/bin/pip install {written}"))
    assert (problem.level, problem.path) == ("error", "setup_commands[0]")
    assert problem.message.startswith(f"the version of {name} is left open: {name}")


def test_commands_of_head_and_workers_are_read_at_their_own_places(broken):
    changes = {**setup(GOOD), "head_setup_commands": ["true", "pip install ray"]}
    (problem,) = broken("pinned_versions", changes)
    assert problem.path == "head_setup_commands[1]"


def test_nothing_that_installs_raykd_is_a_warning(broken):
    (problem,) = broken("pinned_versions", setup("pip install ray==2.60.0"))
    assert problem.level == "warning"
    assert "nothing here installs raykd" in problem.message


@pytest.mark.parametrize("image", [None, "latest_dlami", "resolve:ssm:/aws/service/x"])
def test_the_image_of_aws_is_an_id(broken, image):
    (problem,) = broken("pinned_versions", {f"{CONFIG}/ImageId": image})
    assert problem.level == "error"
    assert "ImageId must be an image id (ami-...)" in problem.message


@pytest.mark.parametrize("image", ["rayproject/ray", "rayproject/ray:latest-gpu", "host:5000/own"])
def test_a_container_that_moves(broken, image):
    (problem,) = broken("pinned_versions", {"docker": {"image": image, "container_name": "c"}})
    assert (problem.level, problem.path) == ("error", "docker.image")


@pytest.mark.parametrize("image", ["rayproject/ray:2.60.0-py311", "own@sha256:0123"])
def test_a_container_with_a_version_is_fine(broken, image):
    assert not broken("pinned_versions", {"docker": {"image": image, "container_name": "c"}})


def test_a_family_of_images_in_google_cloud(broken):
    disk = {"boot": True, "initializeParams": {"sourceImage": "projects/p/global/images/family/f"}}
    base = {
        "cluster_name": "test",
        "max_workers": 0,
        "provider": {"type": "gcp", "region": "r", "availability_zone": "z", "project_id": "p"},
        "available_node_types": {
            "head": {"resources": {"CPU": 2}, "node_config": {"disks": [disk]}}
        },
        "head_node_type": "head",
        "setup_commands": [GOOD],
    }
    (problem,) = broken("pinned_versions", base=base)
    assert problem.path == "available_node_types.head.node_config.disks[0]"
    assert "an image family is another image tomorrow" in problem.message


def test_the_latest_image_in_azure(broken):
    base = {
        "cluster_name": "test",
        "max_workers": 0,
        "provider": {"type": "azure", "location": "l", "resource_group": "g"},
        "available_node_types": {
            "head": {
                "resources": {"CPU": 2},
                "node_config": {"azure_arm_parameters": {"imageVersion": "latest"}},
            }
        },
        "head_node_type": "head",
        "setup_commands": [GOOD],
    }
    (problem,) = broken("pinned_versions", base=base)
    assert "imageVersion 'latest'" in problem.message
    pinned = {"available_node_types/head/node_config/azure_arm_parameters/imageVersion": "1.2.3"}
    assert broken("pinned_versions", pinned, base=base) == []
