"""Own machines over ssh: a host is lost in the middle of a sweep and another one joins."""

import pytest
import yaml

from tests.cluster.host import REPOSITORY, Host, make_key, wait_for
from tests.cluster.lan import Lan
from tests.cluster.ray_cluster import ray_processes, stored, wait_for_nodes
from tests.cluster.sweeps import SubmittedSweep

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

# These hosts share one machine: each node has one CPU to give, and a small object store.
SIZE = "--num-cpus=1 --object-store-memory=200000000"
# A node that is silent for some 15 seconds counts as lost; unless told, Ray waits half a minute.
QUICK = " ".join(
    f"RAY_health_check_{name}"
    for name in ("period_ms=1000", "timeout_ms=4000", "failure_threshold=3")
)


def cluster_file(head: Host, worker: Host) -> str:
    """cluster/local.yaml with the values that a user has to set, and what this LAN needs."""
    plain = yaml.safe_load((REPOSITORY / "cluster" / "local.yaml").read_text())
    plain["provider"] |= {"head_ip": head.address, "worker_ips": [worker.address]}
    plain["auth"]["ssh_user"] = "ubuntu"
    plain |= {"min_workers": 1, "max_workers": 1}
    # Nothing can be fetched, and raykd is there already: all hosts see this repository.
    plain["setup_commands"] = []
    plain["file_mounts"] = {k: v for k, v in plain["file_mounts"].items() if "token" in k}
    for role in ("head", "worker"):
        key = f"{role}_start_ray_commands"
        plain[key] = [c.replace("ray start", f"{QUICK} ray start {SIZE}") for c in plain[key]]
    return yaml.safe_dump(plain)


@pytest.fixture
def laptop(lan: Lan) -> Host:
    # Provider local and Ray's second autoscaler do not work together: workers never start.
    host = lan.add("laptop", {"RAY_AUTH_MODE": "token", "RAY_UP_enable_autoscaler_v2": "0"})
    key = make_key(host.home / ".ssh" / "id_ed25519")
    for name in ("head", "worker1", "worker2"):
        lan.add(name).trust(key)
    host.run("ray get-auth-token --generate")
    return host


def join(laptop: Host, newcomer: Host, head: Host) -> None:
    """Make a host a member by hand, as a user of the laptop would."""
    ssh = "-o StrictHostKeyChecking=no"
    where = f"ubuntu@{newcomer.address}"
    start = f"RAY_AUTH_MODE=token ray start {SIZE} --address={head.address}:6379"
    laptop.run(f"ssh {ssh} {where} mkdir -p -m 700 .ray")
    laptop.run(f"scp {ssh} .ray/auth_token {where}:.ray/")
    laptop.run(f"ssh {ssh} {where} 'bash -lc \"{start}\"'")


def test_a_sweep_survives_the_loss_of_a_host_while_another_joins(lan: Lan, laptop: Host) -> None:
    head, worker1, worker2 = (lan.hosts[name] for name in ("head", "worker1", "worker2"))
    laptop.write("cluster.yaml", cluster_file(head, worker1))
    laptop.run("ray up -y --no-config-cache cluster.yaml")
    # On a busy machine the first start of a node may fail; Ray tries again after a minute.
    wait_for_nodes(head, {head.address, worker1.address})

    # Enough trials that hosts can come and go in between.
    sweep = SubmittedSweep(laptop, "cluster.yaml", head, trials=20)
    sweep.wait_until_finished_on(head, 1)
    sweep.wait_until_finished_on(worker1, 2)
    assert stored(head)[worker1.address] >= sweep.teacher_bytes()
    lan.cut(worker1)
    join(laptop, worker2, head)
    wait_for_nodes(head, {head.address, worker2.address})

    sweep.wait_until_finished_on(worker2, 1)
    # What the lost host had of the teacher is gone with it; the newcomer has fetched it all.
    assert stored(head)[worker2.address] >= sweep.teacher_bytes()
    sweep.wait_for_success()
    sweep.assert_complete()

    lan.mend(worker1)
    laptop.run("ray down -y cluster.yaml")
    laptop.run(f"ssh ubuntu@{worker2.address} 'bash -lc \"ray stop\"'")
    hosts = (head, worker1, worker2)
    wait_for(lambda: not ray_processes(hosts), lambda: "\n".join(ray_processes(hosts)))
