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

from raykd.results.public import ADDRESS, URL, public_name
from raykd.results.records import SweepResult, TrialResult

SOMEONE = "(user)"

_KEPT = ("version", "started", "raykd", "python", "packages", "system", "processor", "cpus",
         "devices", "float32 products", "hub models", "resumed")  # fmt: skip
"""What stays of the environment; whatever else a later version records is left out."""

_HOST_OF = re.compile(r"://(?:[^\s/@'\"]*@)?(?P<host>[\w-]+(?:\.[\w-]+)*)")
_GIVEN = re.compile(r"(?<=\bhost=)(?P<quote>['\"])(?P<host>[^'\"\s]+)(?P=quote)")
"""A host as clients of HTTP write it in errors."""
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LOGIN = re.compile(r"(?<![\w./+@-])\w[\w.-]*@[\w-]+(?![\w/]|\.\w)")
"""A user on a host without a domain; `gpt2@main`, a model of the search space, looks the same."""
_INTERNET = re.compile(
    r"(?<![\w./@-])[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+"
    r"\.(?:edu|com|org|gov|mil|lan|corp|internal|ac\.[a-z]{2})(?![\w-]|\.\w)",
    re.IGNORECASE,
)
"""A host with a domain that is none of a program's names, without a port."""
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
_USER = r"(?P<user>[^\W\d](?:[\w.-]*\w)?)"
_HOME = re.compile(rf"(?:/(?:home|[Uu]sers)/|\\Users\\|~){_USER}")
_SHARED = r"(?:scratch|netscratch|work|lustre|gpfs)"
_BELOW = re.compile(rf"(?<![\w./\\~)-])(?:/{_SHARED})+/(?!{_SHARED}(?![\w.-])){_USER}")
"""Where clusters have a folder for each user, and others, of projects; files, too."""
_NOBODY = ("cache", "common", "data", "datasets", "group", "groups", "home", "local", "models",
           "output", "outputs", "project", "projects", "public", "runs", "shared", "slurm",
           "software", "temp", "tmp", "user", "users")  # fmt: skip
"""Folders there that belong to no user."""
_FILES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".txt", ".yaml", ".yml",
          ".conll", ".iob", ".bio", ".arrow", ".safetensors", ".bin", ".py", ".gz", ".zst",
          ".db")  # fmt: skip
_SOURCE = re.compile(r"\.(?:py|ya?ml|jsonl?|csv|txt|md|cpp|cu|h|c):\d+$", re.IGNORECASE)
"""A place in a file, which looks like a host and a port."""
_HUB_MODELS = "hub models"
_FREE = ("description", "loggers", "root", "own_tasks", "outputs", "endpoint", "labels")
"""Parts of a search space whose values are texts of the author, rather than one of a few words."""
MIN_WORD = 3
"""Shorter names of users and hosts are not looked for in sentences: they are parts of words."""


def anonymous(result: SweepResult) -> SweepResult:
    """The records without hosts, users, paths, addresses, command lines and commits.

    The run is named as its search space, trials name no run folder and none of its files, and nodes
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
            "env": _through(_of_machine(env, known), known.text),
            "trials": tuple(_trial(trial, known, outcome) for trial in result.trials),
            "row_outcomes": {outcome[name]: array for name, array in result.row_outcomes.items()},
        },
    )


def _of_machine(env: Mapping[str, Any], known: _Known) -> dict[str, Any]:
    """An environment and those of its resumptions; of the system, its name and architecture."""
    kept = {name: value for name, value in env.items() if name in _KEPT}
    if parts := str(kept.get("system", "")).split():
        kept["system"] = " ".join(dict.fromkeys((parts[0], parts[-1])))
    if _HUB_MODELS in kept:
        kept[_HUB_MODELS] = {known.text(name): of for name, of in kept[_HUB_MODELS].items()}
    if "resumed" in kept:
        kept["resumed"] = [_of_machine(again, known) for again in kept["resumed"]]
    return kept


def _trial(trial: TrialResult, known: _Known, outcome: Mapping[str, str]) -> TrialResult:
    changed: TrialResult = _through(trial, known.text)
    return dataclasses.replace(
        changed,
        sweep="",
        checkpoint="",
        node=known.nodes.get(trial.node, ""),
        row_outcomes=outcome.get(trial.row_outcomes, ""),
    )


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is to be removed from the texts of a run.

    Attributes:
        names: Whole texts that stay as they are: tasks, arms, methods, trials, words of the search
            space.
        nodes: What is written for a host's name, however short, where a node is named.
        own: Words that raykd itself writes, which are replaced nowhere else.
        words: What is written for a host or a user within a text, longest first.
        paths: Relative paths of the search space, longest first.
        folders: Names that may be those of users, and are replaced within paths only.
    """

    names: frozenset[str]
    nodes: Mapping[str, str]
    own: frozenset[str]
    words: Mapping[str, str]
    paths: tuple[str, ...]
    folders: tuple[str, ...]

    @classmethod
    def of(cls, result: SweepResult) -> _Known:
        """What the records know of machines, users and places."""
        names = {*result.arms, *(t.name for t in result.tasks), *result.spec.get("tasks", ())}
        names |= {t.method for t in result.trials} | {t.trial_id for t in result.trials}
        own = _own_words(result, names)
        nodes = _nodes(result)
        names |= {text for text in _values(result.spec) if re.fullmatch(r"\w+", text)}
        names |= {model for model in _models(result.spec) if "@" in model}
        texts = list(_texts(dataclasses.replace(result, row_outcomes={})))
        words = {**_addresses(texts), **_people(result, texts), **nodes}
        words = {w: to for w, to in words.items()
                 if len(w) >= MIN_WORD and not w.isdigit() and w not in own}  # fmt: skip
        paths = {text for text in _texts(result.spec) if text not in names and _is_relative(text)}
        return cls(
            names=frozenset(names),
            nodes=nodes,
            own=frozenset(own),
            words={w: words[w] for w in sorted(words, key=lambda w: (-len(w), w))},
            paths=tuple(sorted(paths, key=lambda path: (-len(path), path))),
            folders=tuple(sorted(f for f in _folders(texts) - own if len(f) >= MIN_WORD)),
        )

    def text(self, text: str) -> str:
        """A text without them."""
        if text in self.names or text in self.own or not text:
            return text
        if text in self.nodes:
            return self.nodes[text]
        text = _GIVEN.sub(lambda m: m["quote"] + ADDRESS + m["quote"], text)
        for pattern in (URL, _MAIL, _IPV4, _IPV6):
            text = pattern.sub(ADDRESS, text)
        text = _LOGIN.sub(lambda m: m[0] if m[0] in self.names else ADDRESS, text)
        text = _SERVER.sub(lambda m: m[0] if _SOURCE.search(m[0]) else ADDRESS, text)
        for path in self.paths:
            text = text.replace(path, PurePosixPath(path.replace("\\", "/")).name)
        for name in self.folders:
            text = re.sub(rf"(?<=[/\\]){re.escape(name)}(?![\w/\\-]|\.\w)", SOMEONE, text)
        text = _QUOTED.sub(lambda m: m["quote"] + public_name(m["path"]) + m["quote"], text)
        text = _TO_THE_END.sub(lambda m: m["before"] + _last(m["path"]), text)
        text = _FOLDERS.sub("", text)
        for name in self.folders:
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?=[/\\])", SOMEONE, text)
        for word, instead in self.words.items():
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", instead, text)
        return _INTERNET.sub(ADDRESS, text)


def _nodes(result: SweepResult) -> dict[str, str]:
    """A number for each host, by its name and by the part before its domain."""
    hosts = [t.node for t in result.trials]
    hosts += [str(env.get("host", "")) for env in (result.env, *result.env.get("resumed", ()))]
    nodes: dict[str, str] = {}
    for number, host in enumerate(dict.fromkeys(h for h in hosts if h), start=1):
        nodes.setdefault(host, f"node {number}")
        short = host.partition(".")[0]
        if short and not short.isdigit():  # an IP has no part that names it
            nodes.setdefault(short, f"node {number}")
    return nodes


def _people(result: SweepResult, texts: Iterable[str]) -> dict[str, str]:
    """Who ran the sweep, users by their folders, and those under whose names loggers log."""
    named = {m["user"] for text in texts for m in _HOME.finditer(text)}
    params_of_loggers = [logger.get("params") or {} for logger in result.spec.get("loggers") or ()]
    named |= {str(params["entity"]) for params in params_of_loggers if params.get("entity")}
    named |= {str(env.get("user", "")) for env in (result.env, *result.env.get("resumed", ()))}
    return dict.fromkeys(sorted(named), SOMEONE)


def _folders(texts: Iterable[str]) -> set[str]:
    """Folders where clusters have those of users: nothing says whether one is of a project."""
    users = {m["user"] for text in texts for m in _BELOW.finditer(text)}
    return {name for name in users.difference(_NOBODY) if not name.lower().endswith(_FILES)}


def _addresses(texts: Iterable[str]) -> dict[str, str]:
    """Hosts of addresses, which errors name without the rest."""
    matches = (m for text in texts for of in (_HOST_OF, _GIVEN) for m in of.finditer(text))
    return {m["host"]: ADDRESS for m in matches if m["host"] != "localhost"}


def _own_words(result: SweepResult, names: Iterable[str]) -> set[str]:
    """Words of keys and of what has few values, which mean something to the report."""
    written = [*names, *result.loggers, *_keys(dataclasses.replace(result, row_outcomes={}))]
    written += [str(span.get("kind", "")) for span in result.spans]
    for task in result.tasks:
        written += [task.metric, task.mode, *task.metrics, *task.unlabelled.values()]
    for trial in result.trials:
        written += [trial.stage, trial.precision]
    for logger in result.spec.get("loggers") or ():
        written.append(logger["name"])
    return {word for text in written for word in (text, *text.split("/"), *re.split(r"\W+", text))}


def _keys(value: Any) -> Iterator[str]:  # records, or a part of them
    """Keys of mappings, those that name places or models left out."""
    if isinstance(value, Mapping):
        yield from (str(key) for key in value if not _is_place(key))
        parts: Iterable[Any] = [of for key, of in value.items() if key != _HUB_MODELS]
    else:
        parts = () if isinstance(value, str) else _parts(value)
    for part in parts:
        yield from _keys(part)


def _values(value: Any) -> Iterator[str]:  # a search space, or a part of it
    """Texts that a search space gives, without those that are its author's own words."""
    if isinstance(value, str):
        yield value
        return
    is_named = isinstance(value, Mapping)
    for part in [of for k, of in value.items() if k not in _FREE] if is_named else _parts(value):
        yield from _values(part)


def _models(value: Any) -> Iterator[str]:  # a search space, or a part of it
    """Models that a search space names."""
    named = value if isinstance(value, Mapping) else {}
    yield from (str(named[key]) for key in ("model", "checkpoint") if named.get(key))
    for part in [*named.values()] or ([] if isinstance(value, str) else _parts(value)):
        yield from _models(part)


def _is_place(key: Any) -> bool:  # any key of a mapping
    """Whether a key is a path or an address: raykd's own name things, as ``test/accuracy``."""
    if not isinstance(key, str):
        return False
    is_file = "/" in key and key.lower().endswith(_FILES)
    return is_file or re.match(rf"{_BEGIN}|{URL.pattern}", key) is not None


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
    """Records with every text in them changed; of keys, those that name places."""
    if type(value) is str:
        return change(value)
    if isinstance(value, Mapping):
        return {
            (change(key) if _is_place(key) else key): _through(of, change)
            for key, of in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(_through(of, change) for of in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type | np.ndarray):
        changed = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **{n: _through(of, change) for n, of in changed.items()})
    return value
