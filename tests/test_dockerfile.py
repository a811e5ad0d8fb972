"""The Dockerfile keeps the rules of good images, and installs what the Makefile installs.

No test builds it: that needs a daemon and a network. Its steps are read instead.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")
KNOWN = {"ARG", "FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD", "SHELL"}


@dataclass(frozen=True)
class Step:
    word: str
    rest: str


def steps(text: str) -> list[Step]:
    """The instructions; comments go, and lines that are continued are one."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines()]


def stages(text: str) -> list[list[Step]]:
    """The steps of each stage; those before the first are arguments for all."""
    actual: list[list[Step]] = []
    for step in steps(text):
        if step.word == "FROM":
            actual.append([])
        if actual:
            actual[-1].append(step)
    return actual


def arguments(text: str) -> dict[str, str]:
    given = (step.rest.partition("=") for step in steps(text) if step.word == "ARG")
    return {name: value.strip('"') for name, _, value in given if value}


def faults(text: str) -> list[str]:
    """What a linter of Dockerfiles would say."""
    message = [f"unknown instruction {s.word}" for s in steps(text) if s.word not in KNOWN]
    values = arguments(text)
    names = {step.rest.split(" AS ")[1] for step in steps(text) if " AS " in step.rest}
    for stage in stages(text):
        image = stage[0].rest.split()[0]
        image = re.sub(r"\$\{(\w+)\}", lambda m: values[m[1]], image)
        tag = image.partition(":")[2]
        if image not in names and (not tag or "latest" in tag):
            message.append(f"base image without a pinned tag: {image}")
        message += [f"no folder in WORKDIR: {s.rest}" for s in stage
                 if s.word == "WORKDIR" and not s.rest.startswith("/")]  # fmt: skip
        pipefail = False
        for step in stage:
            pipefail |= step.word == "SHELL" and "pipefail" in step.rest
            if step.word in ("CMD", "ENTRYPOINT") and not step.rest.startswith("["):
                message.append(f"{step.word} starts a shell")
            if step.word == "RUN":
                message += _of_command(step.rest)
                message += ["a pipe without pipefail"] * (_has_pipe(step.rest) and not pipefail)
    last = [s.rest for s in stages(text)[-1] if s.word == "USER"]
    if not last or last[-1] in ("root", "0"):
        message.append("the last stage runs as root")
    return message


def _of_command(command: str) -> list[str]:
    message = []
    if "apt-get install" in command:
        message += ["apt lists stay"] * ("rm -rf /var/lib/apt/lists/*" not in command)
        message += ["recommended packages"] * ("--no-install-recommends" not in command)
        message += ["no update"] * (
            command.find("apt-get update") > command.find("apt-get install")
        )
    message += ["sudo"] * bool(re.search(r"\bsudo\b", command))
    message += ["a pipe from the network"] * bool(re.search(r"(curl|wget)[^|]*\|", command))
    return message


def _has_pipe(command: str) -> bool:
    """Whether two commands are joined by a pipe, outside of quotes."""
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", command)
    return bool(re.search(r"(?<!\|)\|(?!\|)", unquoted))


def test_it_keeps_the_rules():
    assert faults(TEXT) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [(("USER raykd", "USER root"), "the last stage runs as root"),
     (("-slim-${DEBIAN}\n", "\n"), None),
     (("FROM python:${PYTHON}-slim-${DEBIAN} AS", "FROM python AS"), "base image without"),
     ((":${PYTHON}-slim-${DEBIAN} AS", ":latest AS"), "base image without"),
     (("&& rm -rf /var/lib/apt/lists/*", ""), "apt lists stay"),
     (('SHELL ["/bin/bash", "-o", "pipefail", "-c"]', ""), "a pipe without pipefail"),
     (('["raykd"]', "raykd"), "ENTRYPOINT starts a shell"),
     (("COPY raykd raykd", "ADD raykd raykd"), "unknown instruction ADD")],
)  # fmt: skip
def test_the_rules_find_what_breaks_them(change, fault):
    assert change[0] in TEXT
    actual = faults(TEXT.replace(*change))
    assert actual == [] if fault is None else any(message.startswith(fault) for message in actual)


def test_the_workflow_builds_both_images_and_starts_them_as_they_are():
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    job = YAML(typ="safe").load(text)["jobs"]["image"]
    variants = {v["tag"]: v["index"] for v in job["strategy"]["matrix"]["include"]}
    assert variants == {"cpu": arguments(TEXT)["TORCH_INDEX"], "cuda": ""}
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert "--build-arg TORCH_INDEX=${{ matrix.index }}" in commands[0]
    assert sum(command.startswith("docker run") for command in commands) == 2
    assert all("--user" not in command for command in commands)


def test_torch_is_in_the_range_of_the_makefile():
    (line,) = re.findall(r"^TORCH \?= (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert arguments(TEXT)["TORCH"] == line


def test_python_is_one_that_raykd_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {c.rpartition(" ")[2] for c in project["classifiers"] if ":: 3." in c}
    assert arguments(TEXT)["PYTHON"] in named


def test_what_changes_often_is_copied_last():
    """A change of raykd's code installs neither torch nor what raykd needs again."""
    build = stages(TEXT)[0]
    at = {step.rest.split()[0]: k for k, step in enumerate(build) if step.word == "COPY"}
    installs = [k for k, step in enumerate(build) if "pip install" in step.rest]
    assert installs[0] < at["pyproject.toml"] < installs[1] < at["raykd"] < installs[2]
    assert next(k for k, s in enumerate(build) if s.rest.startswith("EXTRAS")) > installs[0]


def test_everything_that_is_copied_is_sent_to_the_builder_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    sent = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        name
        for step in steps(TEXT)
        if step.word == "COPY" and "--from" not in step.rest
        for name in step.rest.split()[:-1]
    }
    assert sent == copied
    assert lines[1] == "*"
    assert all((ROOT / name).exists() for name in copied)
    assert any(fnmatch.fnmatch("raykd/__pycache__", line) for line in lines)
