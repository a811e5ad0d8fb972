"""Versions that a cluster file names, wherever they are written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from raykd.clusters.base import SETUP, ClusterFile
from raykd.clusters.document import Place

_REQUIREMENT = re.compile(r"(?P<name>raykd|ray)(?:\[[\w,-]*\])?\s*(?P<rest>[@=<>!~].*)?")
_WHEEL = re.compile(r"(?P<name>raykd|ray)-(?P<version>\d[\w.+]*)-[\w.]+-[\w.]+-[\w.]+\.whl")
_PYTHON = re.compile(r"python(?:=+|\s+|-?)[\"']?(3\.\d+)")
_IMAGE_PYTHON = re.compile(r"py3(\d+)")
_IMAGE_RAY = re.compile(r"(\d+\.\d+\.\d+\w*)")

IMAGES = ("image", "head_image", "worker_image")


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """A package that a set-up command installs.

    Attributes:
        name: ``ray`` or ``raykd``.
        version: The one version it can be; empty when that is left open.
        written: What stands in the file.
        place: Where.
    """

    name: str
    version: str
    written: str
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A container image.

    Attributes:
        written: Its whole name.
        place: Where it stands.
    """

    written: str
    place: Place

    @property
    def tag(self) -> str:
        """What follows the colon; a digest is no tag."""
        name = self.written.partition("@")[0].rpartition("/")[2]
        return name.partition(":")[2]

    @property
    def is_pinned(self) -> bool:
        """Whether it is the same image tomorrow, as far as its name can tell."""
        moving = {"", "latest", "nightly", "gpu", "cpu", "dev"}
        return "@sha256:" in self.written or self.tag.partition("-")[0] not in moving

    @property
    def ray(self) -> str:
        """Version of Ray, where it is one of Ray's own images."""
        if "/ray:" not in self.written and "/ray-ml:" not in self.written:
            return ""
        match = _IMAGE_RAY.match(self.tag)
        return match.group(1) if match else ""

    @property
    def python(self) -> str:
        """Version of Python, where the tag says it."""
        match = _IMAGE_PYTHON.search(self.tag)
        return f"3.{match.group(1)}" if match else ""


def requirements(cluster: ClusterFile) -> Iterator[Requirement]:
    """Every ``ray`` and ``raykd`` that set-up commands install."""
    for place, command in cluster.commands(*SETUP):
        for word in _installed(command):
            named = _REQUIREMENT.fullmatch(word)
            wheel = _WHEEL.search(word)
            if named:
                name, version = named["name"], _exact(named["rest"] or "")
                yield Requirement(name=name, version=version, written=word, place=place)
            elif wheel:
                name, version = wheel["name"], wheel["version"]
                yield Requirement(name=name, version=version, written=word, place=place)


def _installed(command: str) -> Iterator[str]:
    """The words after every ``pip install`` of a shell command."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote is not closed; the shell will say so
        words = command.split()
    before, is_inside = "", False
    for word in words:
        if word == "install":
            is_inside = before.rpartition("/")[2] in ("pip", "pip3")
        elif not word.strip(";&|()"):
            is_inside = False
        elif is_inside:
            yield word
        before = word


def _exact(rest: str) -> str:
    """The version of a requirement that leaves no choice."""
    if rest.startswith("=="):
        version = rest.lstrip("= ")
        return "" if "*" in version else version
    wheel = _WHEEL.search(rest)
    if wheel:
        return wheel["version"]
    # A commit or a tag of a repository.
    revision = re.search(r"\.git@([\w.-]+)", rest)
    return "" if revision is None or revision[1] in ("main", "master") else revision[1]


def images(cluster: ClusterFile) -> Iterator[Image]:
    """Every container image of the ``docker`` sections."""
    sections: list[Place] = [("docker",)]
    sections += [(*node.place, "docker") for node in cluster.node_types()]
    for section in sections:
        for key in IMAGES:
            written = cluster.document.get(*section, key)
            if written:
                yield Image(written=str(written), place=(*section, key))


def ray_versions(cluster: ClusterFile) -> Iterator[tuple[Place, str]]:
    """Versions of Ray on the machines, where the file tells."""
    yield from ((r.place, r.version) for r in requirements(cluster) if r.name == "ray" if r.version)
    yield from ((image.place, image.ray) for image in images(cluster) if image.ray)


def python_versions(cluster: ClusterFile) -> Iterator[tuple[Place, str]]:
    """Versions of Python on the machines, as ``3.11``, where the file tells."""
    for place, command in cluster.commands(*SETUP):
        yield from ((place, version) for version in sorted(set(_PYTHON.findall(command))))
    yield from ((image.place, image.python) for image in images(cluster) if image.python)
