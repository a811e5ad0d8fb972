from __future__ import annotations

import json
from pathlib import Path

import pytest

from raykd.errors import Problem
from raykd.spec.load import load_spec, placed, spec_from_dict, to_yaml
from tests.unit.spec.files import ARMS, HEAD, SAMPLE, only, place, problems, write

FULL = (
    HEAD
    + f"""\
  epochs: {{int: [1, 3]}}
  max_grad_norm: null
description: "no: 12:30"
data:
  root: some/folder
  limit: 100
  select_on: {{split: train, fraction: 0.2}}
methods:
  none: {{}}
  kd-like:
    method: {SAMPLE}
    alpha: {{quniform: [0, 1, 0.25]}}
    scale: {{loguniform: [1e-5, 10]}}
    window: {{choice: [3, 5, null]}}
    angles: {{choice: [true, false]}}
    wrangle: {{uniform: [0.5, 2], when: {{angles: true}}}}
    layers: last
    start: [{{alpha: 0.5, lr: 2e-5, angles: true, wrangle: 1}}, {{window: 3}}]
search:
  algorithm: {{name: tpe, startup_trials: 3}}
  scheduler: none
  time_budget: 1h30m
  objective: [{{metric: accuracy, mode: max}}, {{metric: latency_ms, mode: min}}]
confirm: {{top_k: 2, seeds: [4, 5]}}
resources: {{gpus_per_worker: 0.5}}
report: {{baseline: kd-like}}
"""
)


def test_what_a_file_means(tmp_path):
    spec = load_spec(write(tmp_path, FULL))
    arm = spec.methods["kd-like"]
    assert list(spec.methods) == ["none", "kd-like"]
    assert arm.method == SAMPLE
    assert arm.fixed == {"layers": "last"}
    assert arm.domains["alpha"].describe() == "quniform [0, 1, 0.25]"
    assert arm.domains["window"].choices == (3, 5, None)
    assert arm.domains["wrangle"].when == {"angles": True}
    assert arm.start[0] == {"alpha": 0.5, "lr": 2e-5, "angles": True, "wrangle": 1}
    assert spec.train.fixed == {"max_grad_norm": None}
    assert spec.train.domains["epochs"].kind == "int"
    assert spec.search.time_budget_s == 5400
    assert spec.search.algorithm.params == {"startup_trials": 3}
    assert [o.metric for o in spec.search.objective] == ["accuracy", "latency_ms"]
    assert spec.report.baseline == "kd-like"
    assert spec.description == "no: 12:30"


@pytest.mark.parametrize("text", [FULL, HEAD + ARMS])
def test_the_resolved_file_reads_back_to_an_equal_spec(tmp_path, text):
    spec = load_spec(write(tmp_path, text))
    again = load_spec(write(tmp_path, to_yaml(spec)))
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()
    assert to_yaml(again) == to_yaml(spec)


@pytest.mark.parametrize("text", [FULL, HEAD + ARMS])
def test_plain_data_reads_back_to_an_equal_spec(tmp_path, text):
    spec = load_spec(write(tmp_path, text))
    again = spec_from_dict(json.loads(json.dumps(spec.as_dict())))
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()


def test_an_arm_without_teacher_is_added(tmp_path):
    spec = load_spec(write(tmp_path, HEAD + ARMS))
    assert list(spec.methods) == ["one", "none"]
    assert spec.methods["none"].method == "none"
    assert spec.report.baseline == "none"


def test_a_method_block_may_be_null(tmp_path):
    spec = load_spec(write(tmp_path, HEAD + "methods:\n  none:\n"))
    assert list(spec.methods) == ["none"]


def test_an_arm_is_left_out_when_it_is_false(tmp_path):
    path = write(tmp_path, HEAD + ARMS + "  none: {}\n  kd: {}\n")
    assert list(load_spec(path, ["methods.kd=false"]).methods) == ["one", "none"]
    assert list(load_spec(path, ["methods.one=false", "methods.kd=false"]).methods) == ["none"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("6h", 21600), ("30m", 1800), ("90s", 90), ("90", 90), ("1.5h", 5400)]
)
def test_durations(tmp_path, text, seconds):
    path = write(tmp_path, HEAD + ARMS + f"search: {{time_budget: {text}}}\n")
    assert load_spec(path).search.time_budget_s == seconds


def test_missing_sections_are_named(tmp_path):
    actual = problems(tmp_path, "name: x\ntrain: {}\n")
    assert [(p.path, p.message) for p in actual] == [
        (key, "this section is required") for key in ("tasks", "teacher", "student", "methods")
    ]


def test_a_misspelt_section_is_one_problem(tmp_path):
    problem = only(tmp_path, (HEAD + ARMS).replace("train:", "trian:"))
    assert place(problem) == (7, 1, "trian")
    assert problem.hint == "did you mean 'train'?"


ARM = HEAD + ARMS


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        (ARM + "    gamma: 1\n", "methods.one.gamma",
         f"method '{SAMPLE}' has no parameter 'gamma'"),
        (ARM + "    angles: 1\n", "methods.one.angles", "'angles' must be true or false, got 1"),
        (ARM + "    alpha: [0.1, 0.2]\n", "methods.one.alpha",
         "'alpha' must be one value or a domain, got the list [0.1, 0.2]"),
        (ARM + "    alpha: {}\n", "methods.one.alpha", "a domain names one distribution, got none"),
        (ARM + "    alpha: {uniform: [0, 1], choice: [1]}\n", "methods.one.alpha",
         "a domain names one distribution, got 'uniform' and 'choice'"),
        (ARM + "    alpha: {uniform: [0.5, 3]}\n", "methods.one.alpha.uniform",
         "'alpha' must lie in [0, 1], got 3"),
        (ARM + "    scale: {uniform: [0, 3]}\n", "methods.one.scale.uniform",
         "'scale' must be > 0, got 0"),
        (ARM + "    alpha: {uniform: [0.5, 0.5]}\n", "methods.one.alpha.uniform",
         "uniform needs low < high, got [0.5, 0.5]"),
        (ARM + "    alpha: {uniform: [0.5]}\n", "methods.one.alpha.uniform",
         "uniform takes [low, high], got [0.5]"),
        (ARM + "    alpha: {quniform: [0, 1]}\n", "methods.one.alpha.quniform",
         "quniform takes [low, high, step], got [0, 1]"),
        (ARM + "    alpha: {quniform: [0, 1, 2]}\n", "methods.one.alpha.quniform",
         "quniform needs a step > 0 that fits between low and high, got [0, 1, 2]"),
        (ARM + "    window: {uniform: [1, 9]}\n", "methods.one.window.uniform",
         "'window' is a whole number, which uniform does not draw"),
        (ARM + "    window: {int: [1, 9.5]}\n", "methods.one.window.int",
         "int needs whole numbers, got [1, 9.5]"),
        (ARM + "    window: {randint: [1, 9]}\n", "methods.one.window.randint",
         "unknown distribution 'randint'"),
        (ARM + "    window: 4\n", "methods.one", "'window' must be odd, got 4"),
        (ARM + "    window: {choice: [3, 4]}\n", "methods.one", "'window' must be odd, got 4"),
        (ARM + "    layers: {choice: [all, some]}\n", "methods.one.layers.choice",
         "'layers' must be all or last or none, got some"),
        (ARM + "    layers: {choice: []}\n", "methods.one.layers.choice",
         "choice takes a list of values, got []"),
        (ARM + "    layers: {choice: [all, all]}\n", "methods.one.layers.choice",
         "choice lists all twice"),
        (ARM + "    lr: 1e-3\n", "methods.one.lr", f"method '{SAMPLE}' has no parameter 'lr'"),
        (ARM + "    angles: true\n    alpha: {uniform: [0, 1], when: {angles: 3}}\n",
         "methods.one.alpha.when", "'angles' must be true or false, got 3"),
        (ARM + "    layers: {choice: [all, last]}\n"
         "    alpha: {uniform: [0, 1], when: {layers: none}}\n",
         "methods.one.alpha.when", "'layers' is never none: it is searched in choice [all, last]"),
        (ARM + "    alpha: {uniform: [0, 1], when: {alpha: 1}}\n", "methods.one.alpha.when",
         "'when' refers to 'alpha' itself"),
        (ARM + "    alpha: {uniform: [0, 1], when: angles}\n", "methods.one.alpha.when",
         "'when' takes {parameter: value}, got angles"),
        (ARM + "    alpha: {choice: [0, 1], when: {scale: 1}}\n"
         "    scale: {choice: [1, 2], when: {alpha: 1}}\n",
         "methods.one.alpha.when", "'alpha' depends on itself through 'when'"),
        (HEAD + "methods: {}\n", "methods",
         "'methods' must name at least one method, got an empty mapping"),
        (HEAD + "methods: [kd]\n", "methods",
         "'methods' must be a mapping (method: parameters), got [kd]"),
        (HEAD + "methods: {xyz: {}}\n", "methods.xyz", "unknown method 'xyz'"),
        (HEAD + "methods: {a: {method: ..b}}\n", "methods.a.method", "unknown method '..b'"),
        (HEAD + "methods: {a: {method: b.c}}\n", "methods.a.method", "unknown method 'b.c'"),
        (HEAD + "methods: {a.b: {}}\n", "methods.a.b",
         "the name of an arm has letters, digits, '_' and '-', got 'a.b'"),
        (HEAD + "methods: {none: 3}\n", "methods.none",
         "'none' must be a mapping (key: value), got 3"),
    ],
)  # fmt: skip
def test_wrong_arms(tmp_path, text, where, message):
    problem = only(tmp_path, text)
    assert (problem.path, problem.message) == (where, message)
    assert problem.line > 0


@pytest.mark.parametrize(
    ("point", "where", "message"),
    [
        ("{alfa: 0.5}", "alfa", f"method '{SAMPLE}' has no parameter 'alfa'"),
        ("{alpha: 0.05}", "alpha", "'alpha' is searched in uniform [0.1, 0.9], got 0.05"),
        ("{alpha: 3}", "alpha", "'alpha' must lie in [0, 1], got 3"),
        ("{lr: 1}", "lr", "'lr' is searched in loguniform [1e-05, 0.0001], got 1"),
        ("{scale: 3}", "scale", "'scale' is set to 2.0, so no point can have 3"),
        ("{window: 3}", "window", "'window' is not searched, so a start point cannot set it"),
        ("{angles: false, wrangle: 1}", "wrangle", "'wrangle' is used only when 'angles' is true"),
    ],
)
def test_wrong_start_points(tmp_path, point, where, message):
    arm = """\
    alpha: {uniform: [0.1, 0.9]}
    scale: 2.0
    angles: {choice: [true, false]}
    wrangle: {uniform: [0.5, 2], when: {angles: true}}
"""
    problem = only(tmp_path, f"{ARM}{arm}    start: [{point}]\n")
    assert problem.path == f"methods.one.start[0].{where}"
    assert problem.message == message


def test_a_misspelt_key_is_not_reported_again_by_a_condition(tmp_path):
    arm = "    angels: true\n    wrangle: {uniform: [0.5, 2], when: {angles: true}}\n"
    assert only(tmp_path, ARM + arm).path == "methods.one.angels"


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ("name: small", "name: 3", "name", "'name' must be text, got 3"),
        ("name: small", "name: a/b", "name", "'name' has letters, digits, '_' and '-', got 'a/b'"),
        ("[toy/sentiment]", "toy/sentiment", "tasks",
         "'tasks' must be a list of at least one task, got toy/sentiment"),
        ("[toy/sentiment]", "[]", "tasks", "'tasks' must be a list of at least one task, got []"),
        ("[toy/sentiment]", "[toy/sentimnt]", "tasks", "unknown task 'toy/sentimnt'"),
        ("[toy/sentiment]", "[toy/sentiment, toy/sentiment]", "tasks",
         "task 'toy/sentiment' is listed twice"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}",
         "{family: brt, layers: 2, hidden: 96, heads: 2}", "teacher.model.family",
         "unknown model family 'brt'"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}",
         "{family: bert, layers: 2, hidden: 97, heads: 2}", "teacher.model.heads",
         "'heads' must divide 'hidden' (97), got 2"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}", "{family: bert, layers: 2, heads: 2}",
         "teacher.model", "needs the key 'hidden'"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}", "3", "teacher.model",
         "'model' must be a name, a folder or sizes, got 3"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}", "a\n  checkpoint: b",
         "teacher.checkpoint", "give either 'model' or 'checkpoint', not both"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}", "null", "teacher",
         "needs 'model' or 'checkpoint' or 'outputs'"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}", "a\n  finetune: {epoch: 3}",
         "teacher.finetune.epoch", "unknown key 'epoch'"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}", "a\n  finetune: {lr: 0}",
         "teacher.finetune.lr", "'lr' must be > 0, got 0"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}",
         "a\n  finetune: {lr: {uniform: [0, 1]}}", "teacher.finetune.lr",
         "'lr' must be one value: the teacher is prepared once, not searched"),
        ("model: {family: bert, layers: 2, hidden: 96, heads: 2}",
         "checkpoint: a\n  finetune: {epochs: 1}", "teacher.finetune",
         "a checkpoint is fine-tuned already, so 'finetune' has no effect"),
        ("{family: bert, layers: 2, hidden: 96, heads: 2}", "a\n  sharding: full",
         "teacher.sharding", "a teacher that is fine-tuned here is whole where it runs, so that "
         "'sharding' is of checkpoints only"),
        ("model: {family: bert, layers: 1, hidden: 48, heads: 2}", "from_teacher: {layers: [0, 2]}",
         "student.from_teacher.layers", "the teacher has 2 layers (0 to 1), got 2"),
        ("model: {family: bert, layers: 1, hidden: 48, heads: 2}", "from_teacher: {layers: [0, 0]}",
         "student.from_teacher.layers", "layer 0 is listed twice"),
        ("model: {family: bert, layers: 1, hidden: 48, heads: 2}",
         "from_teacher: {layers: [0], weights: any}", "student.from_teacher.weights",
         "'weights' must be finetuned or pretrained, got any"),
        ("model: {family: bert, layers: 1, hidden: 48, heads: 2}",
         "from_teacher: {layers: [0], sparsity: 70}", "student.from_teacher.sparsity",
         "give either 'layers' or 'sparsity', not both"),
        ("model: {family: bert, layers: 1, hidden: 48, heads: 2}",
         "from_teacher: {weights: finetuned}", "student.from_teacher",
         "needs 'layers' or 'sparsity'"),
        ("model: {family: bert, layers: 1, hidden: 48, heads: 2}",
         "from_teacher: {sparsity: 95}", "student.from_teacher.sparsity",
         "'sparsity' must be <= 90, got 95"),
        ("model: {family: bert, layers: 1, hidden: 48, heads: 2}",
         "from_teacher: {sparsity: 0}", "student.from_teacher.sparsity",
         "'sparsity' must be > 0, got 0"),
        ("model: {family: bert, layers: 1, hidden: 48, heads: 2}",
         "from_teacher: {sparsity: much}", "student.from_teacher.sparsity",
         "'sparsity' must be a number, got much"),
        ("model: {family: bert, layers: 1, hidden: 48, heads: 2}",
         "from_teacher: {sparsity: 70, weights: pretrained}", "student.from_teacher.weights",
         "a pruned student has the finetuned weights of the teacher, not pretrained"),
        ("loguniform: [1e-5, 1e-4]", "loguniform: [1e-5, 0]", "train.lr.loguniform",
         "loguniform needs low < high, got [1e-5, 0]"),
        ("lr:", "rate:", "train.rate", "unknown key 'rate'"),
    ],
)  # fmt: skip
def test_wrong_models_tasks_and_training(tmp_path, old, new, where, message):
    assert (HEAD + ARMS).count(old) == 1
    problem = only(tmp_path, (HEAD + ARMS).replace(old, new))
    assert (problem.path, problem.message) == (where, message)
    assert problem.line > 0


def test_a_pruned_student_has_the_weights_of_the_finetuned_teacher(tmp_path):
    text = (HEAD + ARMS).replace(
        "model: {family: bert, layers: 1, hidden: 48, heads: 2}", "from_teacher: {sparsity: 70}"
    )
    actual = load_spec(write(tmp_path, text))
    assert actual.student.from_teacher.sparsity == 70
    assert actual.student.from_teacher.weights == "finetuned"
    assert actual.student.from_teacher.layers is None
    assert load_spec(write(tmp_path, to_yaml(actual))) == actual


@pytest.mark.parametrize(
    ("section", "where", "message"),
    [
        ("data: 3", "data", "'data' must be a mapping (key: value), got 3"),
        ("data: {max_length: 2}", "data.max_length", "'max_length' must be >= 4, got 2"),
        ("data: {max_length: a}", "data.max_length", "'max_length' must be a whole number, got a"),
        ("data: {max_length: 2.5}", "data.max_length",
         "'max_length' must be a whole number, got 2.5"),
        ("data: {max_lenght: 8}", "data.max_lenght", "unknown key 'max_lenght'"),
        ("data: {select_on: test}", "data.select_on",
         "'select_on' must be a mapping (key: value), got test"),
        ("data: {select_on: {split: train, fraction: 1.5}}", "data.select_on.fraction",
         "'fraction' must be < 1, got 1.5"),
        ("data: {report_on: {split: train}}", "data.report_on",
         "'report_on' is all of train, which is trained on: the result would be that of rows "
         "learnt by heart"),
        ("data: {select_on: {spilt: train}}", "data.select_on.spilt", "unknown key 'spilt'"),
        ("data: {select_on: {}}", "data.select_on", "needs the key 'split'"),
        ("search: {algorithm: tpee}", "search.algorithm", "unknown search algorithm 'tpee'"),
        ("search: {algorithm: {startup_trials: 3}}", "search.algorithm",
         "'algorithm' must be a name, or {name: ..., parameters}, got a mapping without 'name'"),
        ("search: {algorithm: {name: tpe, startup: 3}}", "search.algorithm.startup",
         "algorithm 'tpe' has no parameter 'startup'"),
        ("search: {scheduler: {name: asha, reduction_factor: 1}}",
         "search.scheduler.reduction_factor", "'reduction_factor' must be >= 2, got 1"),
        ("search: {scope: joint}", "search.scope", "unknown key 'scope'"),
        ("search: {trials: 0}", "search.trials", "'trials' must be >= 1, got 0"),
        ("search: {trials: true}", "search.trials", "'trials' must be a whole number, got true"),
        ("search: {max_concurrent: many}", "search.max_concurrent",
         "'max_concurrent' must be a whole number or auto, got many"),
        ("search: {max_concurrent: 0}", "search.max_concurrent",
         "'max_concurrent' must be >= 1 or auto, got 0"),
        ("search: {time_budget: 6 hours}", "search.time_budget",
         "'time_budget' must be a duration, got 6 hours"),
        ("search: {trial_time_limit: never}", "search.trial_time_limit",
         "'trial_time_limit' must be a duration, got never"),
        ("search: {time_budget: 0}", "search.time_budget",
         "'time_budget' must be a duration, got 0"),
        ("search: {time_budget_s: 5}", "search.time_budget_s", "unknown key 'time_budget_s'"),
        ("search: {objective: accuracy}", "search.objective",
         "an objective is {metric: ..., mode: ...}, got accuracy"),
        ("search: {objective: {metric: bleu}}", "search.objective.metric",
         "unknown metric 'bleu'; the task has accuracy"),
        ("search: {objective: {mode: up}}", "search.objective.mode",
         "'mode' must be auto or max or min, got up"),
        ("confirm: {seeds: [1, 1]}", "confirm.seeds", "seed 1 is listed twice"),
        ("confirm: {seeds: 3}", "confirm.seeds", "'seeds' must be a list, got 3"),
        ("confirm: {seeds: [1, a]}", "confirm.seeds[1]",
         "'seeds[1]' must be a whole number, got a"),
        ("confirm: {seeds: {start: 5}}", "confirm.seeds", "needs the key 'then'"),
        ("confirm: {seeds: {start: 2, then: [10]}}", "confirm.seeds.start",
         "'start' must be >= 3, got 2"),
        ("confirm: {seeds: {start: 5, then: [10, 8]}}", "confirm.seeds.then",
         "'then' must be growing numbers of seeds above start, got [10, 8]"),
        ("confirm: {seeds: {start: 5, then: [9]}}\nsearch: {repeats: 3}", "confirm.seeds",
         "seeds by a plan decide between single configurations, and search.repeats: 3 compares "
         "searches"),
        ("search: {repeats: 0}", "search.repeats", "'repeats' must be >= 1, got 0"),
        ("confirm: {seeds: {start: 5, then: [5]}}", "confirm.seeds.then",
         "'then' must be growing numbers of seeds above start, got [5]"),
        ("confirm: {seeds: {start: 5, than: [10]}}", "confirm.seeds.than", "unknown key 'than'"),
        ("confirm: {top_k: 0}", "confirm.top_k", "'top_k' must be >= 1, got 0"),
        ("resources: {cpus_per_worker: 0}", "resources.cpus_per_worker",
         "'cpus_per_worker' must be > 0, got 0"),
        ("resources: {gpus_per_worker: -1}", "resources.gpus_per_worker",
         "'gpus_per_worker' must be >= 0 or auto, got -1"),
        ("resources: {gpus_per_worker: two}", "resources.gpus_per_worker",
         "'gpus_per_worker' must be a number or auto, got two"),
        ("resources: {isolate: 1}", "resources.isolate", "'isolate' must be true or false, got 1"),
        ("report: {margin: 0}", "report.margin", "'margin' must be > 0, got 0"),
        ("report: {margin: a bit}", "report.margin", "'margin' must be a number, got a bit"),
        ("report: {baseline: kd}", "report.baseline",
         "'baseline' must be one of the arms, got kd"),
        ("report: {path: 'https://h/r.html'}", "report.path",
         "'path' must be a file of this machine, not an address, got \"https://h/r.html\""),
        ("report: {path: 'a/{run}.html'}", "report.path",
         "'path' may hold {name} and no other braces, got \"a/{run}.html\""),
        ("serach: {}", "serach", "unknown key 'serach'"),
    ],
)  # fmt: skip
def test_wrong_sections(tmp_path, section, where, message):
    problem = only(tmp_path, HEAD + ARMS + section + "\n")
    assert (problem.path, problem.message) == (where, message)
    assert problem.line == len((HEAD + ARMS).splitlines()) + 1


def test_a_baseline_that_is_no_arm_is_answered_with_each_arm_once(tmp_path):
    problem = only(tmp_path, HEAD + ARMS + "report: {baseline: quite-another}\n")
    assert problem.hint.startswith("arms: ")
    named = problem.hint.removeprefix("arms: ").split(", ")
    assert len(named) == len(set(named)) > 1


def test_a_later_problem_gets_its_place(tmp_path):
    path = write(tmp_path, HEAD + ARMS + "resources:\n  gpus_per_worker: 2\n")
    actual = placed(Problem(path="resources.gpus_per_worker", message="m"), path)
    assert (actual.file, actual.line, actual.column) == (str(path), 13, 3)
    assert actual.source == "  gpus_per_worker: 2"
    arm = placed(Problem(path="methods.one", message="m"), path)
    assert (arm.line, arm.column) == (10, 3)
    section = placed(Problem(path="resources.workers", message="m"), path)
    assert (section.line, section.column) == (12, 1)
    absent = placed(Problem(path="search.trials", message="m"), path)
    assert (absent.file, absent.line) == (str(path), 0)
    option = placed(Problem(path="search.trials", message="m"), path, ["search.trials=3"])
    assert (option.file, option.source) == ("--set", "--set search.trials=3")


def test_a_spec_does_not_depend_on_the_folder(tmp_path, monkeypatch):
    path = write(tmp_path, HEAD + ARMS)
    one = load_spec(path).fingerprint()
    monkeypatch.chdir(tmp_path)
    assert load_spec(Path("space.yaml")).fingerprint() == one
