from __future__ import annotations

import json

import pytest
import yaml

from raykd.cli import cluster
from raykd.cli.main import main
from tests.unit.clusters.faultless import AWS, machine


@pytest.fixture
def file(tmp_path, monkeypatch):
    client = machine(tmp_path)
    monkeypatch.setattr(cluster, "_client", lambda: client)

    def write(**changes):
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump(AWS | changes, sort_keys=False))
        return str(path)

    return write


def test_slots_and_cost(file, capsys):
    name = file()
    assert main(["cluster", "check", name, "--format", "plain"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        f"{name}: valid; aws, a head and at most 3 workers",
        "  node type  machine    bought     running  GPUs each  price an hour",
        "  head       m6i.large  on demand  1        0          $0.10",
        "  gpu        g5.xlarge  spot       0 to 3   2          $0.50",
        "  slots         at most 6, with one GPU each",
        "  without work  $0.10 an hour",
        "  all at work   $1.60 an hour",
    ]


def test_warnings_are_shown_and_are_no_failure(file, capsys):
    name = file(idle_timeout_minutes=90)
    assert main(["cluster", "check", name]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{name}: valid, 1 warning; aws")
    assert err.splitlines()[:3] == [
        f"warning: {name}:7:1: idle_timeout_minutes: workers are kept for 90 minutes without work, "
        "and paid",
        "     7 | idle_timeout_minutes: 90",
        "       | ^",
    ]


def test_errors_are_2_and_nothing_is_called_valid(file, capsys):
    name = file(file_mounts={}, idle_timeout_minutes=90)
    assert main(["cluster", "check", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "warning: " in err
    assert f"error: {name}" in err
    assert "the token is not sent to the machines" in err


def test_quiet_is_errors_only(file, capsys):
    assert main(["cluster", "check", file(idle_timeout_minutes=90), "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_json_has_everything(file, capsys):
    name = file(idle_timeout_minutes=90, file_mounts={})
    assert main(["cluster", "check", name, "--format", "json"]) == 2
    out, err = capsys.readouterr()
    shown = json.loads(out)
    assert (shown["file"], shown["provider"], shown["max_workers"]) == (name, "aws", 3)
    assert [p["path"] for p in shown["warnings"]] == ["idle_timeout_minutes"]
    assert [p["path"] for p in shown["errors"]] == ["file_mounts"]
    assert shown["estimate"]["slots"] == 6
    assert json.loads(err)["path"] == "file_mounts"


def test_prices_and_resources_that_are_not_stated(file, capsys):
    types = json.loads(json.dumps(AWS["available_node_types"]))
    del types["gpu"]["resources"]
    assert main(["cluster", "check", file(metadata={}, available_node_types=types)]) == 0
    out = capsys.readouterr().out
    assert "slots  unknown: a node type states no resources" in out
    assert "cost   unknown: metadata.price_per_hour does not name every node type" in out


def test_own_machines(file, capsys):
    provider = {"type": "local", "head_ip": "a", "worker_ips": ["b"]}
    own = {"max_workers": 1, "provider": provider, "metadata": {}}
    assert main(["cluster", "check", _local(file, own)]) == 0
    assert "nothing is paid by the hour" in capsys.readouterr().out


def _local(file, changes):
    path = file(**changes)
    with open(path) as handle:
        config = yaml.safe_load(handle)
    for key in ("available_node_types", "head_node_type"):
        del config[key]
    with open(path, "w") as handle:
        yaml.safe_dump(config, handle)
    return path


def test_a_file_that_ray_refuses(file, capsys):
    name = file(max_worker=3)
    assert main(["cluster", "check", name]) == 2
    assert "max_worker: unknown key 'max_worker'" in capsys.readouterr().err


def test_the_group_alone_shows_its_help(capsys):
    assert main(["cluster"]) == 2
    out, err = capsys.readouterr()
    assert "check" in out
    assert err == ""
