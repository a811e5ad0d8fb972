"""cluster/aws.yaml from the account to `ray down`, with moto in place of AWS."""

import pytest
import yaml

from tests.cluster.cloud import Cloud
from tests.cluster.host import REPOSITORY, wait_for
from tests.cluster.lan import Lan
from tests.cluster.ray_cluster import ray_processes, wait_for_nodes
from tests.cluster.sweeps import SubmittedSweep

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

SSH_FROM = "198.51.100.0/24"
FILES = REPOSITORY / "cluster"


def cluster_file(image: str, group: str) -> str:
    """cluster/aws.yaml as a user fills it in, and all that this test changes beyond that."""
    filled_in = (FILES / "aws.yaml").read_text()
    filled_in = filled_in.replace("ami-SET-ME", image).replace("sg-SET-ME", group)
    plain = yaml.safe_load(filled_in)
    # Nothing can be fetched, and raykd is there already: all hosts see this repository.
    plain |= {"setup_commands": [], "head_setup_commands": [], "worker_setup_commands": []}
    plain["file_mounts"] = {k: v for k, v in plain["file_mounts"].items() if "token" in k}
    return yaml.safe_dump(plain)


@pytest.fixture
def cloud(lan: Lan):
    pytest.importorskip("moto", reason="needs moto[server]")
    pytest.importorskip("boto3", reason="needs raykd[cluster]")
    with Cloud(lan) as made:
        yield made


def make_account(cloud: Cloud) -> str:
    """Deploy cluster/aws/account.yaml; gives the security group."""
    (network,) = cloud.ask("ec2", "describe_vpcs")["Vpcs"]
    cloud.ask(
        "cloudformation", "create_stack",
        StackName="raykd", TemplateBody=(FILES / "aws" / "account.yaml").read_text(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[
            {"ParameterKey": "SshFrom", "ParameterValue": SSH_FROM},
            {"ParameterKey": "VpcId", "ParameterValue": network["VpcId"]},
        ],
    )  # fmt: skip
    (stack,) = cloud.ask("cloudformation", "describe_stacks", StackName="raykd")["Stacks"]
    return {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}["SecurityGroup"]


def assert_closed(cloud: Cloud, group: str) -> None:
    """SSH from the stated range, everything from the group itself, and nothing else."""
    (actual,) = cloud.ask("ec2", "describe_security_groups", GroupIds=[group])["SecurityGroups"]
    allowed = set()
    for rule in actual["IpPermissions"]:
        ports = (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"))
        allowed |= {(*ports, r["CidrIp"]) for r in rule.get("IpRanges", [])}
        allowed |= {(*ports, r["GroupId"]) for r in rule.get("UserIdGroupPairs", [])}
        assert not rule.get("Ipv6Ranges")
        assert not rule.get("PrefixListIds")
    everything = {r for r in allowed if r[0] == "-1"}
    assert {r[3] for r in everything} == {group}
    assert allowed - everything == {("tcp", 22, 22, SSH_FROM)}


def assert_as_written(cloud: Cloud, group: str, written: dict) -> None:
    """The instances are those of the file: the head on demand, the worker on spot."""
    head, worker = cloud.described()
    types = written["available_node_types"]
    for instance, kind in ((head, "head"), (worker, "gpu")):
        wanted = types[kind]["node_config"]
        assert instance["InstanceType"] == wanted["InstanceType"]
        assert instance["ImageId"] == wanted["ImageId"]
        assert [g["GroupId"] for g in instance["SecurityGroups"]] == [group]
        assert instance["KeyName"].startswith("ray-autoscaler")
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        (disk,) = instance["BlockDeviceMappings"]
        (volume,) = cloud.ask("ec2", "describe_volumes", VolumeIds=[disk["Ebs"]["VolumeId"]])[
            "Volumes"
        ]
        assert volume["Encrypted"]
        assert volume["Size"] == wanted["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]
    assert head["IamInstanceProfile"]["Arn"].endswith("/raykd-head")
    assert "IamInstanceProfile" not in worker
    assert "InstanceLifecycle" not in head
    assert worker["InstanceLifecycle"] == "spot"
    profile = cloud.ask("iam", "get_instance_profile", InstanceProfileName="raykd-head")
    assert [r["RoleName"] for r in profile["InstanceProfile"]["Roles"]] == ["raykd-head"]
    # Ray makes a role that may do anything, and an open group, where a file names none.
    roles = cloud.ask("iam", "list_roles")["Roles"]
    assert not [r for r in roles if "ray-autoscaler" in r["RoleName"]]
    groups = cloud.ask("ec2", "describe_security_groups")["SecurityGroups"]
    assert {g["GroupName"] for g in groups if g["GroupId"] != group} == {"default"}


def test_the_aws_file_makes_what_it_says_and_a_sweep_runs_on_it(lan: Lan, cloud: Cloud) -> None:
    laptop = cloud.laptop
    laptop.run("ray get-auth-token --generate")
    group = make_account(cloud)
    assert_closed(cloud, group)
    image = cloud.ask("ec2", "describe_images", Owners=["amazon"])["Images"][0]["ImageId"]
    text = cluster_file(image, group)
    laptop.write("cluster.yaml", text)
    laptop.run("ray up -y --no-config-cache cluster.yaml")
    (head_instance,) = cloud.described()
    head = cloud.instances[head_instance["InstanceId"]]
    wait_for_nodes(head, {head_instance["PrivateIpAddress"]})

    # From zero: the worker is started because trials wait for it. A pretended GPU cannot train, so
    # they wait for its CPUs.
    overrides = ("resources.gpus_per_worker=0", "search.max_concurrent=2")
    sweep = SubmittedSweep(laptop, "cluster.yaml", head, trials=3, overrides=overrides)
    sweep.wait_for_success()
    sweep.assert_complete()
    _, worker_instance = cloud.described()
    worker = cloud.instances[worker_instance["InstanceId"]]
    assert {t.node for t in sweep.result().trials} == {worker_instance["PrivateIpAddress"]}
    assert_as_written(cloud, group, yaml.safe_load(text))

    laptop.run("ray down -y cluster.yaml")
    assert {i["State"]["Name"] for i in cloud.described()} == {"terminated"}
    hosts = (head, worker)
    wait_for(lambda: not ray_processes(hosts), lambda: "\n".join(ray_processes(hosts)))
