"""A run without what says whose it is: machines, users, places, addresses and command lines.

What is removed is found in the records alone, so that a run folder gives the same everywhere. Names
that its author gave stay: those of the search space, of tasks, arms, models and data sets.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from raykd.results.public import public_name
from raykd.results.records import SweepResult, TrialResult

ADDRESS = "(address)"
SOMEONE = "(user)"

_KEPT = ("version", "started", "raykd", "python", "packages", "system", "cpus", "devices",
         "float32 products", "hub models", "resumed")  # fmt: skip
"""What stays of the environment; whatever else a later version records is left out."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]}]+", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?!\w|\.\d)")
_HEX = r"[0-9a-f]{1,4}(?::[0-9a-f]{1,4})"
_IPV6 = re.compile(
    rf"(?<![\w:])(?=[0-9a-f:]*\d)(?:{_HEX}{{7}}|(?:{_HEX}*)?::(?:{_HEX}*)?)(?![\w:])", re.IGNORECASE
)
_SERVER = re.compile(r"(?<![\w./-])[a-z][\w-]*(?:\.[a-z][\w-]*)+:\d{2,5}\b", re.IGNORECASE)
"""A host and a port."""

_BEGIN = r"(?:(?:~[\w.-]*|\.{1,2})?/|(?:[A-Za-z]:|~|\.{1,2})\\|\\\\(?=\w))"
"""How a path begins that names its folders."""
_QUOTED = re.compile(rf"(?P<quote>['\"`])(?:file:)?(?P<path>{_BEGIN}[^'\"`\n]*)(?P=quote)")
_TO_THE_END = re.compile(rf"(?m)(?P<before>(?:^|: |- )\s*)(?P<path>{_BEGIN}[^\n]*)$")
_FOLDERS = re.compile(rf"(?<![\w./\\<-]){_BEGIN}(?:[^\s/\\,'\"\]}})<>]+[/\\])*(?=[^\s/\\,'\"\]}}])")
_HOME = re.compile(r"(?:/(?:home|Users)/|\\Users\\|~)(?P<user>[\w][\w.-]*)")
_FILES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".txt", ".yaml", ".yml",
          ".arrow", ".safetensors", ".bin", ".py", ".gz", ".zst", ".db")  # fmt: skip
_SOURCE = re.compile(r"\.(?:py|ya?ml|jsonl?|csv|txt|md|cpp|cu|h|c):\d+$", re.IGNORECASE)
"""A place in a file, which looks like a host and a port."""
MIN_WORD = 3
"""Shorter names of users and hosts are not looked for in sentences: they are parts of words."""


def anonymous(result: SweepResult) -> SweepResult:
    """The records without hosts, users, paths, addresses, command lines and commits.

    The run is named as its search space, trials name no run folder and no file of theirs, and nodes
    are numbered.
    """
    known = _Known.of(result)
    plain = {
        field.name: _through(getattr(result, field.name), known.text)
        for field in dataclasses.fields(result)
        if field.name not in ("env", "trials", "row_outcomes", "command")
    }
    # Names of files of the outcomes by row, which trials refer to.
    outcome = {name: f"outcomes {k}" for k, name in enumerate(result.row_outcomes)}
    env = {name: result.env[name] for name in _KEPT if name in result.env}
    return dataclasses.replace(
        result,
        **{
            **plain,
            "run": plain["name"],
            "command": "",
            "env": _through(_of_machine(env), known.text),
            "trials": tuple(_trial(trial, known, outcome) for trial in result.trials),
            "row_outcomes": {outcome[name]: array for name, array in result.row_outcomes.items()},
        },
    )


def _of_machine(env: Mapping[str, Any]) -> dict[str, Any]:
    """An environment and those of its resumptions; of the system, its name and architecture."""
    kept = {name: value for name, value in env.items() if name in _KEPT}
    if parts := str(kept.get("system", "")).split():
        kept["system"] = " ".join(dict.fromkeys((parts[0], parts[-1])))
    if "resumed" in kept:
        kept["resumed"] = [_of_machine(again) for again in kept["resumed"]]
    return kept


def _trial(trial: TrialResult, known: _Known, outcome: Mapping[str, str]) -> TrialResult:
    changed: TrialResult = _through(trial, known.text)
    return dataclasses.replace(
        changed,
        sweep="",
        checkpoint="",
        row_outcomes=outcome.get(trial.row_outcomes, ""),
    )


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is to be removed from the texts of a run.

    Attributes:
        names: Whole texts that stay as they are: tasks, arms, methods, trials.
        hosts: What is written for a text that is a host's name, however short.
        words: What is written for a host or a user within a text, longest first.
        paths: Relative paths of the search space, longest first.
    """

    names: frozenset[str]
    hosts: Mapping[str, str]
    words: Mapping[str, str]
    paths: tuple[str, ...]

    @classmethod
    def of(cls, result: SweepResult) -> _Known:
        """What the records know of machines, users and places."""
        names = {*result.arms, *(t.name for t in result.tasks), *result.spec.get("tasks", ())}
        names |= {t.method for t in result.trials} | {t.trial_id for t in result.trials}
        hosts = [t.node for t in result.trials]
        hosts += [str(env.get("host", "")) for env in (result.env, *result.env.get("resumed", ()))]
        words: dict[str, str] = {}
        for number, host in enumerate(dict.fromkeys(h for h in hosts if h), start=1):
            for word in (host, host.partition(".")[0]):
                words.setdefault(word, f"node {number}")
        known = dict(words)
        texts = list(_texts(dataclasses.replace(result, row_outcomes={})))
        users = {m["user"] for text in texts for m in _HOME.finditer(text)}
        words |= {user: SOMEONE for user in sorted(users) if user not in words}
        words = {w: to for w, to in words.items() if len(w) >= MIN_WORD and w not in names}
        paths = {text for text in _texts(result.spec) if text not in names and _is_relative(text)}
        return cls(
            names=frozenset(names),
            hosts=known,
            words={w: words[w] for w in sorted(words, key=lambda w: (-len(w), w))},
            paths=tuple(sorted(paths, key=lambda path: (-len(path), path))),
        )

    def text(self, text: str) -> str:
        """A text without them."""
        if text in self.names or not text:
            return text
        if text in self.hosts:
            return self.hosts[text]
        for pattern in (_URL, _MAIL, _IPV4, _IPV6):
            text = pattern.sub(ADDRESS, text)
        text = _SERVER.sub(lambda m: m[0] if _SOURCE.search(m[0]) else ADDRESS, text)
        for path in self.paths:
            text = text.replace(path, PurePosixPath(path.replace("\\", "/")).name)
        text = _QUOTED.sub(lambda m: m["quote"] + public_name(m["path"]) + m["quote"], text)
        text = _TO_THE_END.sub(lambda m: m["before"] + _last(m["path"]), text)
        text = _FOLDERS.sub("", text)
        for word, instead in self.words.items():
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", instead, text)
        return text


def _last(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\ "))[-1]


def _is_relative(text: str) -> bool:
    """Whether a value is a path below some folder, rather than the name of a model on a hub."""
    parts = re.split(r"[/\\]", text)
    if len(parts) < 2 or not all(parts) or re.search(r"\s", text):
        return False
    return len(parts) > 2 or text.lower().endswith(_FILES)


def _texts(value: Any) -> Iterator[str]:  # records, or a part of them
    if isinstance(value, str):
        yield value
    else:
        for part in _parts(value):
            yield from _texts(part)


def _parts(value: Any) -> Iterable[Any]:
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    return value if isinstance(value, list | tuple) else ()


def _through(value: Any, change: Any) -> Any:  # records, or a part of them; a function of a text
    """Records with every text in them changed, those of keys, too."""
    if type(value) is str:
        return change(value)
    if isinstance(value, Mapping):
        return {_through(k, change): _through(of, change) for k, of in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_through(of, change) for of in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type | np.ndarray):
        changed = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **{n: _through(of, change) for n, of in changed.items()})
    return value
