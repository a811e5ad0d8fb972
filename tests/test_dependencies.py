"""What pyproject.toml asks for is what the package imports, on the versions the workflow tests."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.test_layering import FILES, crossing

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOW: dict[str, Any] = YAML(typ="safe").load(ROOT / ".github/workflows/tests.yml")

DISTRIBUTIONS = {
    "huggingface_hub": "huggingface-hub",
    "rouge_score": "rouge-score",
    "ruamel": "ruamel.yaml",
    "yaml": "pyyaml",
}
"""What an import is installed as, where the two differ."""

NOT_DECLARED = {
    "bitsandbytes": "an extra of the same name: an optimizer with moments of 8 bits",
    "cmaes": "an extra of the same name: a search algorithm",
    "click": "the errors of Ray's launcher, whose command line is made with it",
    "mlflow": "an extra of the same name: a logger",
    "lm_eval": "an extra, 'eval': confirmed students on tasks of its harness",
    "matplotlib": "an extra, 'figures': the figures of a report as files",
    "onnxruntime": "an extra, 'onnx': students as ONNX, run next to the weights",
    "openai": "an extra, 'endpoint': teachers behind an address",
    "pandas": "an extra, 'notebook': the tables of a run",
    "peft": "an extra of the same name: students that train adapters, and teachers that are some",
    "sacrebleu": "an extra, 'bleu': two metrics, and 17 MB with what it needs",
    "wandb": "an extra of the same name: a logger",
}
NOT_IMPORTED = {"sentencepiece": "transformers converts the vocabularies of Llama and T5 with it"}


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", r)[0] for r in requirements}


def test_every_import_is_declared_and_every_declaration_is_needed():
    actual = {i.package.partition(".")[0] for path in FILES for i in crossing(path)} - {"raykd"}
    imported = {DISTRIBUTIONS.get(name, name) for name in actual}
    assert imported - names(PROJECT["dependencies"]) == set(NOT_DECLARED)
    assert names(PROJECT["dependencies"]) - imported == set(NOT_IMPORTED)


def test_no_version_is_ruled_out_above():
    assert not [r for r in PROJECT["dependencies"] if re.search(r"<|==|~=|!=", r)]


def test_the_product_needs_no_tool_of_developers():
    tools = {"pytest", "hypothesis", "ruff", "mypy", "moto", "scikit-learn", "pandas"}
    assert not names(PROJECT["dependencies"]) & tools


def test_the_workflow_runs_on_every_python_that_is_named():
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    matrix = WORKFLOW["jobs"]["suite"]["strategy"]["matrix"]
    assert matrix["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in named


def test_the_workflow_runs_the_oldest_torch_and_the_newest():
    (least,) = [r for r in PROJECT["dependencies"] if r.startswith("torch>=")]
    oldest, newest = WORKFLOW["jobs"]["suite"]["strategy"]["matrix"]["torch"]
    assert oldest.startswith(f"{least},<")
    assert newest == "torch"
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f"TORCH ?= {oldest}\n" in makefile


def test_the_quickstart_installs_the_product_alone():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "\nquickstart: .venv/.product\n" in makefile
    product, developers = (
        makefile.partition(f"\n.venv/.{stamp}:")[2].partition("\n\n")[0]
        for stamp in ("product", "installed")
    )
    assert "[dev]" not in product
    assert "--editable '.[dev]'" in developers
