"""Addresses in a search space: whether one holds a secret, and whether it is one."""

from __future__ import annotations

from urllib.parse import urlsplit

from raykd.secrets import without_secrets
from raykd.spec.yaml_nodes import Findings, YamlNode, join

SECRET = "an address may hold no user, password or parameters: they would be in every record"


def refuse_secrets(node: YamlNode, findings: Findings, path: str = "") -> None:
    """Refuse the addresses of a file that hold a user, a password or a key, wherever they stand.

    Args:
        node: What is looked through.
        findings: Receives the problems.
        path: Its dotted place.
    """
    for key, entry in node.entries.items():
        refuse_secrets(entry.node, findings, join(path, key))
    for number, item in enumerate(node.items):
        refuse_secrets(item, findings, f"{path}[{number}]")
    if isinstance(node.value, str) and without_secrets(node.value) != node.value:
        findings.add(node.mark, path, SECRET, secret=True)
        findings.forgive(node.mark)


def holds_secret(text: str) -> bool:
    """Whether a text is an address with a user, a password or parameters, which may be a key."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "@" in text
    return bool(parts.scheme) and bool(parts.username or parts.password or parts.query)


def is_web(text: str) -> bool:
    """Whether a text is an address of the web."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
