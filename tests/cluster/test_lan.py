"""The LAN itself: hosts reach each other and nothing else, and leave nothing."""

import os
from pathlib import Path

import pytest

from tests.cluster.host import CommandFailed, make_key
from tests.cluster.lan import Lan, members

pytestmark = pytest.mark.cluster

SSH = "ssh -o StrictHostKeyChecking=no -o ConnectTimeout=3"


@pytest.fixture
def pair(lan: Lan):
    laptop, server = lan.add("laptop"), lan.add("server", {"COLOUR": "light blue"})
    server.trust(make_key(laptop.home / ".ssh" / "id_ed25519"))
    return laptop, server


def test_a_host_has_its_own_name_address_home_and_processes(lan, pair):
    laptop, server = pair
    message = laptop.run(f"{SSH} ubuntu@{server.address} 'hostname; echo $HOME; echo $COLOUR'")
    assert message.split("\n")[:3] == ["server", "/root", "light blue"]
    server.write("only-here", "1")
    assert "only-here" in server.run("ls")
    assert "only-here" not in laptop.run("ls")
    assert "cat" not in server.run("ps -e -o comm=").split()


def test_a_host_cannot_write_to_this_machine_nor_leave_the_lan(lan, pair):
    _, server = pair
    repository = Path(__file__).parents[2]
    with pytest.raises(CommandFailed, match="Read-only"):
        server.run(f"touch {repository}/written-by-a-host")
    server.run("touch /tmp/written && touch /dev/shm/written && touch /run/written")
    assert not Path("/tmp/written").exists()
    with pytest.raises(CommandFailed):
        server.run("timeout 3 bash -c 'echo > /dev/tcp/192.0.2.1/80'")


def test_a_host_that_is_cut_off_continues_unheard(lan, pair):
    laptop, server = pair
    lan.cut(server)
    with pytest.raises(CommandFailed):
        laptop.run(f"{SSH} {server.address} true")
    assert server.run("hostname") == "server\n"
    lan.mend(server)
    again = f"{SSH} -o ConnectionAttempts=10 {server.address} hostname"
    assert laptop.run(again) == "server\n"


def test_a_command_that_takes_too_long_is_ended(lan, pair):
    laptop, _ = pair
    with pytest.raises(CommandFailed):
        laptop.run("sleep 60", timeout_s=1)
    assert "sleep" not in laptop.run("ps -e -o comm=").split()


@pytest.mark.usefixtures("can_pretend")
def test_nothing_is_left_of_a_lan_also_after_an_error():
    interfaces = os.listdir("/sys/class/net")
    mounts = Path("/proc/self/mounts").read_text()

    def broken() -> None:
        with Lan() as lan:
            server = lan.add("server")
            server.start("setsid sleep 600 & setsid sleep 601", server.disk / "sleep.log")
            left.append((lan.folder, lan.namespaces()))
            assert members(lan.namespaces())
            raise KeyError("in the middle")

    left: list = []
    with pytest.raises(KeyError):
        broken()
    folder, namespaces = left[0]
    assert members(namespaces) == {}
    assert not folder.exists()
    assert os.listdir("/sys/class/net") == interfaces
    assert Path("/proc/self/mounts").read_text() == mounts
