"""Whatever stands in a search space or a --set: a plan, or an error that says what is wrong.

``RAYKD_FUZZ=5000 pytest tests/unit/spec/test_fuzz.py`` tries that many of each kind, other ones
every time; without it a few hundred are tried, always the same.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from raykd.cli.main import main
from raykd.errors import SpecError
from raykd.search.space import domains_of, suggest
from raykd.spec.load import load_spec, spec_from_dict, to_yaml
from raykd.spec.model_section import finetune_infos
from raykd.spec.schema import SweepSpec
from raykd.training.settings import TrainSettings
from tests.unit.spec.files import HEAD

ROOT = Path(__file__).parents[3]
EVERY_SECTION = (
    HEAD.replace("[toy/sentiment]", "[toy/sentiment, {name: own, path: data, texts: [a, b], "
                 "label: c, labels: [n, p], metrics: [f1], splits: {validation: dev}}]")
    + """\
  epochs: 3
  warmup_ratio: {quniform: [0, 0.5, 0.1]}
  batch_size: {choice: [16, 32]}
description: a file with every section
data:
  root: some/folder
  limit: 100
  student_rows: 50
  max_length: 64
  select_on: {split: train, fraction: 0.2}
  report_on: {split: validation, fraction: 0.5}
  augment: {model: some/model, copies: 2, probability: 0.3, candidates: 5, seed: 1}
  rationales: {source: teacher, max_new_tokens: 64, as_input: false}
  label_type: gt
  seed: 3
methods:
  none: {}
  kd: {alpha: {uniform: [0.1, 0.9]}, temperature: {choice: [1, 2, 4]}}
  angles:
    method: ckd
    angles: {choice: [true, false]}
    wrangle: {loguniform: [0.1, 1000], when: {angles: true}}
    start: [{angles: true, wrangle: 10}, {temperature: 2}]
    temperature: {int: [1, 4]}
search:
  algorithm: {name: tpe, startup_trials: 3}
  scheduler: {name: asha, grace_period: 1, reduction_factor: 2}
  trials: 4
  time_budget: 1h30m
  max_concurrent: 2
  objective: {metric: auto, mode: max}
  seed: 1
confirm: {top_k: 2, seeds: [4, 5]}
resources: {workers: 1, cpus_per_worker: 1, gpus_per_worker: 0, max_failures: 1, isolate: false,
            labels: {zone: a}}
report: {path: 'reports/{name}.html', baseline: kd}
"""
)  # fmt: skip
FILES = [EVERY_SECTION, *(p.read_text() for p in sorted((ROOT / "search_spaces").glob("*.yaml")))]
SNIPPETS = [
    *(Path(__file__).with_name("fuzz_values.txt").read_text(encoding="utf-8").splitlines()),
    "\0", "\a", "\x1b[2J", "\x85", "\u2028", "\ufeff", "\U0001f600", "\ud800", "", " ",
    "9" * 5000, "1" + "0" * 400, "x" * 300, "x" * 5000, "[" * 200, "{a: " * 40, "- " * 300,
    "'" * 99, "[" + "1, " * 3000 + "1]", "{" + ", ".join(f"k{i}: {i}" for i in range(2000)) + "}",
    "[" + ", ".join(map(str, range(3000))) + "]", "a\nb: c", "|\n  x\n  y", "1\n\t2",
]  # fmt: skip


def known_keys() -> list[str]:
    """Keys of every section, and those that belong nowhere."""
    keys = {"method", "start", "when", "time_budget", "choice", "uniform", "nope", "", "<<", "null"}
    waiting: list[Any] = [SweepSpec.model_json_schema()]
    while waiting:
        schema = waiting.pop()
        if isinstance(schema, dict):
            keys |= set(schema.get("properties", {}))
            waiting += schema.values()
        elif isinstance(schema, list):
            waiting += schema
    return sorted(keys | set(TrainSettings.__dataclass_fields__) | set(finetune_infos()))


KEYS = known_keys()


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a tree."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(
        value, list) else ()  # fmt: skip
    return [path, *(p for key, below in inner for p in paths_of(below, (*path, key)))]


def plain(text: str) -> Any:
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text)))


TREES = [plain(text) for text in FILES]
PATHS = [[path for path in paths_of(tree) if path] for tree in TREES]
SECTIONS = ("data", "train", "search", "teacher", "report", "student", "confirm", "resources",
            "teacher.finetune", "methods.kd")  # fmt: skip
DOTTED = sorted(
    {".".join(map(str, path)) for paths in PATHS for path in paths}
    | {f"{section}.{key}" for section in SECTIONS for key in KEYS}
)


def below(tree: Any, key: Any) -> Any:
    """What stands at a key or a number of a tree; None where nothing does."""
    if isinstance(tree, dict):
        return tree.get(key)
    return tree[key] if isinstance(tree, list) and key in range(len(tree)) else None


@st.composite
def changed_values(draw: st.DrawFn) -> str:
    """A file in which some values or keys are others."""
    k = draw(st.integers(0, len(FILES) - 1))
    tree = json.loads(json.dumps(TREES[k]))
    texts: dict[str, str] = {}
    for number in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PATHS[k]))
        here = tree
        for key in path[:-1]:
            here = below(here, key)
        if not isinstance(here, dict | list):
            continue
        marker = f"marker{number}"
        texts[marker] = draw(st.sampled_from(SNIPPETS))
        how = draw(st.sampled_from(["value", "value", "value", "key", "drop", "add", "wrap"]))
        last = path[-1]
        if isinstance(here, list):
            here.insert(min(last if isinstance(last, int) else 0, len(here)), marker)
        elif how == "key":
            here[draw(st.sampled_from(KEYS))] = here.pop(last, marker)
        elif how == "drop":
            here.pop(last, None)
        elif how == "add":
            here[draw(st.sampled_from(KEYS))] = marker
        elif how == "wrap":
            here[last] = [here.get(last), marker]
        else:
            here[last] = marker
    text = json.dumps(tree)
    for marker, snippet in texts.items():
        text = text.replace(f'"{marker}"', snippet)
    return text


@st.composite
def changed_text(draw: st.DrawFn) -> str:
    """A file in which some characters or lines are others."""
    text = draw(st.sampled_from(FILES))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = at + draw(st.integers(0, 12))
        lines = text.splitlines(keepends=True) or [""]
        line = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["cut", "put", "swap", "indent", "drop", "twice", "end"]))
        piece = draw(st.sampled_from(SNIPPETS) | st.text(max_size=5))
        if how == "cut":
            text = text[:at] + text[end:]
        elif how == "put":
            text = text[:at] + piece + text[at:]
        elif how == "swap":
            text = text[:at] + piece + text[end:]
        elif how == "end":
            text = text[:at]
        else:
            new = {"indent": [piece[:3] + lines[line]], "drop": [], "twice": [lines[line]] * 2}[how]
            text = "".join([*lines[:line], *new, *lines[line + 1 :]])
    return text


overrides = st.lists(
    st.builds(
        lambda key, sign, value: key + sign + value,
        st.sampled_from(DOTTED) | st.sampled_from(KEYS) | st.text(max_size=8),
        st.sampled_from(["=", "=", "=", "=", ": ", "", "==", " = "]),
        st.sampled_from(SNIPPETS) | st.text(max_size=8),
    ),
    min_size=1,
    max_size=3,
)

MANY = int(os.environ.get("RAYKD_FUZZ", "0"))
PROFILE = settings(
    max_examples=MANY or 80,
    deadline=None,
    derandomize=not MANY,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink)
    if MANY
    else (Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
LONGEST_S = 2.0
"""Of processor time, for a file of up to 100 kB."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def judge(folder: Path, text: str, changes: list[str]) -> None:
    """Read a file as ``raykd validate`` does, and use what it means."""
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    began = time.process_time()
    arguments = ["validate", "--no-data", str(path)]
    code = main([*arguments, *(part for change in changes for part in ("--set", change))])
    took = time.process_time() - began
    assert code in (0, 2)
    assert took < LONGEST_S
    try:
        spec = load_spec(path, changes)
    except SpecError as exc:
        assert code == 2
        for problem in exc.problems():
            assert problem.message.strip()
            assert len(problem.render()) < 3000
        return
    assert code == 0
    use(folder, spec)


def use(folder: Path, spec: SweepSpec) -> None:
    """What is valid can be written, read again and searched."""
    again = folder / "again.yaml"
    again.write_text(to_yaml(spec), encoding="utf-8")
    assert load_spec(again) == spec
    assert spec_from_dict(json.loads(json.dumps(spec.as_dict(), allow_nan=False))) == spec
    for arm in spec.methods.values():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        domains = domains_of(arm, spec.train)
        chosen = suggest(study.ask(), domains, {**arm.fixed, **spec.train.fixed})
        assert all(domains[name].contains(value) for name, value in chosen.items())


@PROFILE
@given(text=changed_values())
@example(text=EVERY_SECTION.replace("angles: {choice: [true, false]}", "angles: .nan"))
def test_changed_values_and_keys(folder, text):
    judge(folder, text, [])


@PROFILE
@given(text=changed_text())
def test_changed_text(folder, text):
    judge(folder, text, [])


@PROFILE
@given(text=st.sampled_from(FILES), changes=overrides)
def test_changed_by_options(folder, text, changes):
    judge(folder, text, changes)


@pytest.mark.parametrize("text", FILES)
def test_the_files_that_are_changed_are_right(folder, text):
    judge(folder, text, [])
    assert main(["validate", "--no-data", str(folder / "space.yaml")]) == 0
