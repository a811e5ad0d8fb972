"""The files of the folder ``cluster/``: Ray takes them, and our own rules find no error."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import raykd
from raykd.clusters.check import check

FOLDER = Path(__file__).parents[3] / "cluster"
FILES = sorted(FOLDER.glob("*.yaml"))
FOR_RAY_UP = [path for path in FILES if path.stem != "kuberay"]
IN_A_CLOUD = [path for path in FOR_RAY_UP if path.stem != "local"]
each = pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
each_for_ray_up = pytest.mark.parametrize("path", FOR_RAY_UP, ids=lambda p: p.stem)
each_in_a_cloud = pytest.mark.parametrize("path", IN_A_CLOUD, ids=lambda p: p.stem)


@pytest.fixture
def here(client):
    """This machine, after `pip wheel`."""
    wheel = client.folder / "dist" / f"raykd-{raykd.__version__}-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_text("")
    ray = importlib.metadata.version("ray")
    return dataclasses.replace(client, ray=ray)


def test_all_are_here():
    names = {path.stem for path in FILES}
    assert names == {"aws", "aws-cpu", "azure", "gcp", "kuberay", "local"}


@each
def test_no_errors_and_only_expected_warnings(path, here):
    checked = check(str(path), here)
    assert checked.errors == ()
    unexpected = [p.message for p in checked.warnings if "to be filled in" not in p.message]
    # Ray cannot be told to make a closed group in Azure; the file says what to do.
    assert [m[:35] for m in unexpected] == (["port 22 is open to the whole intern"]
                                            if path.stem == "azure" else [])  # fmt: skip


@each_for_ray_up
def test_ray_itself_takes_the_file(path):
    from ray.autoscaler._private.util import prepare_config, validate_config

    with contextlib.redirect_stdout(None):
        config = prepare_config(yaml.safe_load(path.read_text()))
    validate_config(config)


@each_in_a_cloud
def test_prices_are_stated_and_nothing_is_paid_for_workers_without_work(path, here):
    checked = check(str(path), here)
    assert checked.estimate.idle == checked.estimate.rows[0].price
    assert checked.estimate.full > checked.estimate.idle
    assert all(row.least == 0 and row.is_spot for row in checked.estimate.rows[1:])


@each_in_a_cloud
def test_the_head_runs_no_trials(path, here):
    assert check(str(path), here).estimate.rows[0].slots == 0


@pytest.mark.parametrize("name", ["aws", "aws-cpu"])
def test_machines_that_are_given_back_are_deleted(name):
    config = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    assert config["provider"]["cache_stopped_nodes"] is False
    for node in config["available_node_types"].values():
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
    worker = config["available_node_types"].keys() - {"head"}
    assert "IamInstanceProfile" not in config["available_node_types"][worker.pop()]["node_config"]


@each_for_ray_up
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_can_read_every_command(path):
    config = yaml.safe_load(path.read_text())
    commands = [c for key, actual in config.items() if key.endswith("_commands") for c in actual]
    assert len(commands) > 5
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)


@each_for_ray_up
def test_comments_name_files_that_exist(path):
    named = re.findall(r"\b((?:cluster|docs)/[\w/.-]+\.(?:yaml|md))", path.read_text())
    assert all((FOLDER.parent / name).exists() for name in named)


def test_the_account_of_aws():
    """CloudFormation builds what the files ask for; needs moto and boto3, and no network."""
    moto = pytest.importorskip("moto", reason="needs moto: pip install 'moto[cloudformation]'")
    boto3 = pytest.importorskip("boto3", reason="needs boto3: pip install 'raykd[cluster]'")
    given = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-west-2"}
    with moto.mock_aws():
        session = boto3.Session(**given)
        ec2, stacks = session.client("ec2"), session.client("cloudformation")
        parameters = {
            "SshFrom": "198.51.100.7/32",
            "VpcId": ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
        }
        stacks.create_stack(
            StackName="raykd",
            TemplateBody=(FOLDER / "aws" / "account.yaml").read_text(),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        made = stacks.describe_stacks(StackName="raykd")["Stacks"][0]["Outputs"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in made}
        group = ec2.describe_security_groups(GroupIds=[outputs["SecurityGroup"]])
        from_outside, inside = group["SecurityGroups"][0]["IpPermissions"]
        profile = session.client("iam").get_instance_profile(InstanceProfileName="raykd-head")
    assert (from_outside["FromPort"], from_outside["ToPort"]) == (22, 22)
    assert [r["CidrIp"] for r in from_outside["IpRanges"]] == ["198.51.100.7/32"]
    assert [p["GroupId"] for p in inside["UserIdGroupPairs"]] == [outputs["SecurityGroup"]]
    assert inside["IpRanges"] == []
    assert [r["RoleName"] for r in profile["InstanceProfile"]["Roles"]] == ["raykd-head"]
