from __future__ import annotations

DISKS = "available_node_types/gpu/node_config/BlockDeviceMappings"


def test_encrypted_disks_are_fine(broken):
    assert broken("encrypted_disks") == []


def test_a_disk_in_the_clear_is_an_error(broken):
    (problem,) = broken("encrypted_disks", {DISKS: [{"DeviceName": "/dev/sdb", "Ebs": {}}]})
    assert problem.level == "error"
    assert problem.message == "disk /dev/sdb of 'gpu' is not encrypted"
    assert problem.path == "available_node_types.gpu.node_config.BlockDeviceMappings[0]"


def test_the_disk_of_the_image_is_a_warning(broken):
    (problem,) = broken("encrypted_disks", {DISKS: None})
    assert problem.level == "warning"
    assert "'gpu'" in problem.message


def test_disks_of_the_machine_are_no_matter(broken):
    local = {"DeviceName": "/dev/sdc", "VirtualName": "ephemeral0"}
    assert broken("encrypted_disks", {DISKS: [local]}) == []
