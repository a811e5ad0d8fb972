"""The published schema accepts what raykd reads, and refuses what can be seen to be wrong."""

import json
from pathlib import Path

import jsonschema
import pytest

from raykd.cli.main import main
from raykd.errors import SpecError
from raykd.spec.json_schema import file_schema
from raykd.spec.load import load_spec
from raykd.spec.yaml_loader import read_file
from raykd.spec.yaml_nodes import Findings

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "search_spaces").glob("*.yaml"))
SCHEMA = file_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

BASE = """
name: own
tasks: [toy/sentiment]
teacher: {model: {family: bert, layers: 2, hidden: 32, heads: 2}}
student: {model: {family: bert, layers: 1, hidden: 16, heads: 2}}
train: {lr: 1e-3}
methods: {none: {}}
"""


def problems(file: Path) -> list[str]:
    """What the schema has against a file."""
    plain = json.loads(json.dumps(read_file(file, Findings()).plain()))
    return [error.message for error in VALIDATOR.iter_errors(plain)]


def written(folder: Path, old: str, new: str) -> Path:
    assert old in BASE
    path = folder / "own.yaml"
    path.write_text(BASE.replace(old, new))
    return path


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_files_hold_and_name_it(file):
    assert problems(file) == []
    assert file.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


ACCEPTED = {
    "tasks: [toy/sentiment]": (
        "tasks: [{name: own, path: {train: a.csv, test: [b.csv, c.csv]}, texts: [a, b]}]",
        "tasks: [{name: own, kind: text, sources: [{path: a.jsonl, weight: 2}], prompt: q}]",
        "tasks: [toy/sentiment, tests.own_task]",
    ),
    "teacher: {model: {family: bert, layers: 2, hidden: 32, heads: 2}}": (
        "teacher: {checkpoint: some/folder}",
        "teacher: {model: bert-base-uncased, finetune: {epochs: 3, rows: null, seed: 2}}",
        "teacher: {outputs: {probabilities: [a, b], path: {train: a.parquet}}}",
    ),
    "student: {model: {family: bert, layers: 1, hidden: 16, heads: 2}}": (
        "student: {from_teacher: {layers: [0, 1]}}",
        "student: {model: x, lora: {rank: {choice: [4, 8]}, targets: all-linear}}",
        "student: {model: x, lora: {targets: [query, value]}}",
        "student: {model: x, keep_layers: {choice: [2, 4]}}",
    ),
    "train: {lr: 1e-3}": (
        "train:",
        "train: {lr: {loguniform: [1e-5, 1e-3]}, epochs: {int: [1, 3]}, optimizer: sgd}",
        "train: {micro_batch: auto, compile: true, max_grad_norm: null}",
        "train: {lr: 1e-3}\ndata: {select_on: {split: train, fraction: 0.2}, unlabelled: a.txt}",
        "train: {lr: 1e-3}\nsearch: {time_budget: 1h30m, device_budget: 90, trial_time_limit: 2h}",
        "train: {lr: 1e-3}\nsearch: {objective: {metric: auto}}",
        "train: {lr: 1e-3}\nsearch: {constraints: [latency_ms <= 5, parameters<=3e6]}",
        "train: {lr: 1e-3}\nsearch: {constraints: accuracy >= 0.8}",
        "train: {lr: 1e-3}\nsearch: {algorithm: random, objective: [{metric: accuracy}]}",
        "train: {lr: 1e-3}\nsearch: {scheduler: {name: asha, grace_period: 2}, lag: none}",
        "train: {lr: 1e-3}\nconfirm: {seeds: {start: 5, then: [10]}}\nreport: {margin: 1.0}",
        "train: {lr: 1e-3}\nresources: {gpus_per_worker: auto, labels: {a: b}}\nconfirm:",
    ),
    "methods: {none: {}}": (
        "methods: {none: , kd: false}",
        "methods: {kd: {alpha: {uniform: [0.1, 0.9]}, start: [{alpha: 0.5}]}}",
        "methods: {mine: {method: kd, temperature: {choice: [1, 2]}}}",
        "methods: {kd: {method: ckd, wrdist: {loguniform: [0.1, 1], when: {angles: true}}}}",
        "methods: {mine: {method: tests.integration.foreign_method, pull: {uniform: [0, 1]}}}",
    ),
}


@pytest.mark.parametrize(
    ("old", "new"), [(o, n) for o, several in ACCEPTED.items() for n in several]
)
def test_other_forms_of_a_file_hold(tmp_path, old, new):
    assert problems(written(tmp_path, old, new)) == []


REFUSED = {
    "name: own": ("nam: own", "name: [own]"),
    "tasks: [toy/sentiment]": (
        "tasks: toy/sentiment", "tasks: []", "tasks: [toy/sentimant]",
        "tasks: [{name: own, pth: a.csv}]", "tasks: [{name: own, path: a.csv, kind: classes}]",
    ),
    "teacher: {model: {family: bert, layers: 2, hidden: 32, heads: 2}}": (
        "teacher: {modle: x}", "teacher: {model: {family: bert, layers: 0, hidden: 8, heads: 1}}",
        "teacher: {model: x, finetune: {epochs: {int: [1, 3]}}}", "teacher: {model: x, dtype: f4}",
    ),
    "student: {model: {family: bert, layers: 1, hidden: 16, heads: 2}}": (
        "student: {model: x, lora: {rank: 0}}", "student: {from_teacher: {layers: 1}}",
        "student: {model: x, keep_layers: 0}",
        "student: {model: x, keep_layers: {uniform: [1, 2]}}",
    ),
    "train: {lr: 1e-3}": (
        "train: {lr: -1}", "train: {lr: [1e-5, 1e-3]}", "train: {lr: {normal: [0, 1]}}",
        "train: {lr: {uniform: [1e-5]}}", "train: {lr: {uniform: [0, 1], choice: [1]}}",
        "train: {epochs: {uniform: [1, 2]}}", "train: {epochs: 1.5}", "train: {learning_rate: 1}",
        "train: {lr: 1e-3}\nsearch: {trials: 0}", "train: {lr: 1e-3}\nsearch: {time_budget: 1w}",
        "train: {lr: 1e-3}\nsearch: {algorithm: tpee}", "train: {lr: 1e-3}\nserach: {}",
        "train: {lr: 1e-3}\nsearch: {scheduler: {name: asha, grace: 2}}",
        "train: {lr: 1e-3}\nsearch: {constraints: [latency_ms < 5]}",
        "train: {lr: 1e-3}\nconfirm: {seeds: [-1]}", "train: {lr: 1e-3}\nreport: {margin: 0}",
    ),
    "methods: {none: {}}": (
        "methods: {}", "methods: [kd]", "methods: {kdd: {}}", "methods: {kd: {alpha: 2}}",
        "methods: {kd: {wrdist: 1}}", "methods: {mine: {method: kd, wrdist: 1}}",
        "methods: {kd: {alpha: {uniform: [0.1, 0.9], whenn: {}}}}",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"), [(o, n) for o, several in REFUSED.items() for n in several]
)
def test_what_it_refuses_raykd_refuses_too(tmp_path, old, new):
    file = written(tmp_path, old, new)
    assert problems(file)
    with pytest.raises(SpecError):
        load_spec(file)


def test_every_key_is_explained():
    explained = [p for n, p in SCHEMA["$defs"].items() if n[0].isupper() or n.startswith("method ")]
    assert len(explained) > 30
    for part in explained:
        for key, value in part["properties"].items():
            stands = SCHEMA["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
            assert stands.get("description") or value.get("description"), key


def test_the_command_prints_it(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
