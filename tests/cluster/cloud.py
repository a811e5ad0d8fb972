"""A pretended AWS in the LAN: moto answers the calls, and spare hosts become the instances.

An instance gets the private and the public address and the key that moto made up for it. The
address of the metadata service is a machine of the LAN, too, so that credentials come to the head
the way they do in AWS.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

from tests.cluster.host import CommandFailed, Host, wait_for
from tests.cluster.lan import Lan

REGION = "us-west-2"
METADATA = "169.254.169.254"
MACHINES = ("first", "second")
"""Hosts that wait to become instances."""

_LOGIN = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}
_CALL = """
import boto3, json
answer = getattr(boto3.client({service!r}, region_name={region!r}), {call!r})(**{arguments!r})
print(json.dumps(answer, default=str))
"""


class Cloud:
    """The cloud and a laptop with an account on it; use it in a `with` statement.

    Attributes:
        laptop: Where its user sits.
        instances: Host of every instance there ever was, by its id.
    """

    def __init__(self, lan: Lan) -> None:
        self._lan = lan
        # The cloud is the first host, so that its address is known before it is there.
        endpoint = {"AWS_ENDPOINT_URL": f"http://{lan.next_address()}"}
        self._host = lan.add("cloud", {**_LOGIN, **endpoint})
        lan.give(self._host, [METADATA])
        self.laptop = lan.add("laptop", {**_LOGIN, **endpoint, "RAY_AUTH_MODE": "token"})
        # No keys here: an instance asks the metadata service.
        self._spares = [lan.add(name, endpoint) for name in MACHINES]
        self.instances: dict[str, Host] = {}
        self._closing = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        log = self._host.disk / "moto.log"
        self._host.start("python -m moto.server -H 0.0.0.0 -p 80", log)
        wait_for(self._answers, lambda: f"moto: {log.read_text()}")
        code = Path(__file__).with_name("instances.py")
        self._changes = self._host.disk / "instances.log"
        self._host.start(f"{sys.executable} {code}", self._changes)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        self._thread.join(10)
        assert self._error is None, self._error

    def ask(self, service: str, call: str, **arguments: Any) -> dict[str, Any]:
        """One call of an AWS client on the laptop, e.g. ``ask("ec2", "describe_instances")``."""
        code = _CALL.format(service=service, region=REGION, call=call, arguments=arguments)
        self.laptop.write("call.py", code)
        return json.loads(self.laptop.run("python call.py"))

    def described(self) -> list[dict[str, Any]]:
        """All instances as the cloud describes them, the oldest first."""
        actual = self.ask("ec2", "describe_instances")["Reservations"]
        return sorted((i for r in actual for i in r["Instances"]), key=lambda i: i["LaunchTime"])

    def _answers(self) -> bool:
        try:
            self.ask("sts", "get_caller_identity")
        except CommandFailed:
            return False
        return True

    def _follow(self) -> None:
        """Make hosts of new instances, and switch those off that are terminated."""
        done = 0
        while not self._closing.wait(0.2):
            lines = self._changes.read_text().split("\n")[:-1]
            try:
                for line in lines[done:]:
                    self._changed(json.loads(line))
            except (ValueError, IndexError, subprocess.SubprocessError, AssertionError) as exc:
                self._error = exc
                return
            done = len(lines)

    def _changed(self, instance: dict[str, Any]) -> None:
        name = instance["id"]
        if name in self.instances:
            if instance["state"] == "terminated":
                self._lan.switch_off(self.instances[name])
        elif instance["state"] in ("pending", "running"):
            host = self._spares.pop(0)
            self._lan.give(host, instance["addresses"])
            host.trust(instance["key"])
            self.instances[name] = host
