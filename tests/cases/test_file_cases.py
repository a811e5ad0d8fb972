"""Search spaces that people wrote or will write, each with its plan or its message.

The inputs are those of problems reported of other programs: what is asked of raykd is that a file
means what it says, or is refused with the place, what was got, and what to write instead.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import pytest

from raykd.cli.main import main
from raykd.errors import SpecError
from raykd.spec.load import load_spec
from raykd.spec.schema import SweepSpec

BASE = """\
name: hunt
tasks: [{name: own, path: data, texts: [text], labels: [neg, pos]}]
data: {max_length: 32}
teacher:
  model: {family: bert, layers: 2, hidden: 32, heads: 2, vocabulary: 400, max_positions: 128}
  finetune: {epochs: 2, lr: 1e-3, batch_size: 8}
student:
  model: {family: bert, layers: 1, hidden: 16, heads: 2, vocabulary: 400, max_positions: 128}
train: {epochs: 1, batch_size: 8, lr: 1e-3}
methods: {none: {}, kd: {alpha: 0.5, temperature: 2}}
search: {trials: 1}
confirm: {seeds: [1]}
"""
TASK = "{name: own, path: data, texts: [text], labels: [neg, pos]}"
ARMS = "methods: {none: {}, kd: {alpha: 0.5, temperature: 2}}"
RATE = "batch_size: 8, lr: 1e-3}\nmethods"


def changed(old: str, new: str) -> str:
    assert BASE.count(old) == 1, old
    return BASE.replace(old, new)


def rate(value: str) -> str:
    return changed(RATE, RATE.replace("1e-3", value))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data for the search space, which is the current one."""
    (tmp_path / "data").mkdir()
    for split, count in (("train", 40), ("validation", 12)):
        with (tmp_path / "data" / f"{split}.csv").open("w", newline="") as file:
            rows = [(f"the story is {('dull', 'fine')[k % 2]} {k}", ("neg", "pos")[k % 2])
                    for k in range(count)]  # fmt: skip
            csv.writer(file).writerows([("text", "label"), *rows])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    return tmp_path


def meant(folder: Path, text: str | bytes, *changes: str) -> SweepSpec:
    (folder / "f.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_spec("f.yaml", changes)


def refused(folder: Path, text: str | bytes, *changes: str) -> tuple[str, str, str, int, int]:
    """The one problem: path, message, hint, line and column."""
    with pytest.raises(SpecError) as caught:
        meant(folder, text, *changes)
    assert caught.value.exit_code == 2
    [problem] = caught.value.problems()
    return problem.path, problem.message, problem.hint, problem.line, problem.column


@pytest.mark.parametrize(
    ("spelled", "value"),
    [("1e-3", 1e-3), ("1E-3", 1e-3), ("1.e-3", 1e-3), (".001", 1e-3), ("+1e-3", 1e-3),
     ("0.001", 1e-3), ("1_0e-4", 1e-3), ("!!float 1", 1), ("1e0", 1.0), ("010", 10)],
)  # fmt: skip
def test_every_spelling_of_a_number_is_one(folder, spelled, value):
    spec = meant(folder, rate(spelled))
    assert spec.train.fixed["lr"] == value
    assert not isinstance(spec.train.fixed["lr"], str)


@pytest.mark.parametrize(
    ("spelled", "message", "hint"),
    [
        ('"1e-3"', "'lr' must be a number, got the text \"1e-3\"", "remove the quotes"),
        ("1:30", "'lr' must be a number, got 1:30", ""),
        ("0x", "'lr' must be a number, got 0x", ""),
        ("+_", "'lr' must be a number, got +_", ""),
        ("1,5", None, None),
        (".NaN", "a number must be finite, got .NaN", ""),
        ("-.INF", "a number must be finite, got -.INF", ""),
        ("1e400", "a number must be finite, got 1e400", ""),
        ("!!int abc", "!!int takes a whole number, got abc", ""),
        ("!!float x", "!!float takes a number, got x", ""),
        ("!!int 1.5", "!!int takes a whole number, got 1.5", ""),
        ("!mine 3", "tags are not supported, got !mine", ""),
        ("[1e-4, 3e-3]", "'lr' must be one value or a domain, got the list [1e-4, 3e-3]",
         "to search these values: {choice: [1e-4, 3e-3]}; "
         "all between them: {uniform: [1e-4, 3e-3]}"),
        ("{loguniform: [1e-3, 1e-5]}", "loguniform needs low < high, got [1e-3, 1e-5]",
         "swap the ends: [1e-05, 0.001]"),
        ("{uniform: [1e-3, 1e-3]}", "uniform needs low < high, got [1e-3, 1e-3]",
         "a single value is written without a distribution"),
        ("{grid_search: [1e-5, 3e-5]}", "unknown distribution 'grid_search'", "use choice"),
        ("{uniform: ['1e-5', 1]}", "uniform takes [low, high], got [\"1e-5\", 1]",
         "remove the quotes"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_shown_as_typed(folder, spelled, message, hint):
    if message is None:  # a comma ends a value inside braces: the rest is a key of its own
        path, got, _, line, _ = refused(folder, rate(spelled))
        assert (path, got, line) == ("train.5", "unknown key '5'", 9)
        return
    path, got, reported, line, column = refused(folder, rate(spelled))
    assert path.startswith("train.lr")
    assert (got, reported) == (message, hint)
    assert (line, column >= 34) == (9, True)


def test_whole_numbers_of_any_length_are_answered(folder):
    for digits in ("9" * 20, "9" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000):
        _, message, _, line, _ = refused(folder, changed("trials: 1", f"trials: {digits}"))
        assert message.startswith("a whole number may be 9223372036854775807 at most")
        assert line == 11
        assert len(message) < 400


@pytest.mark.parametrize(
    ("key", "value"),
    [("data.seed", "-1"), ("search.seed", "-1"), ("search.seed", "4294967296"),
     ("confirm.seeds", "[1, -1]"), ("confirm.seeds", "[99999999999]"),
     ("teacher.finetune.seed", "-3"), ("data.augment", "{model: m, seed: -1}")],
)  # fmt: skip
def test_seeds_are_what_every_generator_takes(folder, key, value):
    path, message, _, _, _ = refused(folder, BASE, f"{key}={value}")
    assert path.startswith(key)
    assert "seed" in message
    assert meant(folder, BASE, f"{key.partition('=')[0]}="
                 + value.replace("-1", "4294967295").replace("4294967296", "0")
                 .replace("99999999999", "7").replace("-3", "3"))  # fmt: skip


def test_a_file_of_yaml_1_1_is_refused_as_such_since_it_would_mean_something_else(folder):
    text = "%YAML 1.1\n---\n" + changed("[neg, pos]", "[no, yes]")
    _, message, hint, line, _ = refused(folder, text)
    assert message == "the file declares YAML 1.1, raykd reads YAML 1.2"
    assert "'no' is text in 1.2" in hint
    assert line == 1
    assert meant(folder, text.replace("1.1", "1.2")).own_tasks["own"].labels == ("no", "yes")
    with pytest.raises(SpecError) as caught:
        meant(folder, text.replace("epochs: 2", "epochs: 1:30"))
    assert [(p.line, p.path) for p in caught.value.problems()] == [
        (1, ""), (8, "teacher.finetune.epochs"),
    ]  # fmt: skip


def test_anchors_and_merge_keys_get_one_message_each(folder):
    arms = "methods:\n  none: {}\n  kd: &kd {alpha: 0.5, temperature: 2}\n  kd2:\n"
    merged = changed(ARMS, f"{arms}    <<: *kd\n    method: kd\n    alpha: 0.9")
    path, message, hint, line, column = refused(folder, merged)
    assert message == "'<<' takes over another mapping, which a search space cannot"
    assert (path, hint) == ("methods.kd2.<<", "write the values out in each place")
    assert (line, column) == (14, 5)
    again = changed(ARMS, arms.rstrip() + " *kd")
    _, message, hint, line, _ = refused(folder, again)
    assert message == "anchor 'kd' is used again; aliases are not supported"
    assert line == 13
    section = BASE.replace("teacher:\n  model: {", "student: *m\nteacher:\n  model: &m {")
    assert refused(folder, section.replace("student:\n  model", "x: 1\n  model"))


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        (BASE.replace("data: {max_length: 32}", "data:\n\tmax_length: 32"),
         "cannot be read as YAML", (4, 1)),
        (BASE + "---\nname: two\n", "cannot be read as YAML: a second document begins here",
         (13, 1)),
        (("# gr\u00f6\u00dfe\n" + BASE).encode("latin-1"), "the file is not UTF-8 text", (0, 0)),
        (BASE.replace("hunt", '"hu\\0nt"'), "text may not hold the character U+0000", (1, 7)),
        (BASE.replace("hunt", '"\\ud83d"'), "text may not hold the character U+D83D", (1, 7)),
        (BASE.replace("hunt", '"\\x1b[2J"'), "text may not hold the character U+001B", (1, 7)),
        ("[" * 3000, "nested too deeply", (1, 33)),
        ("- " * 3000, "nested too deeply", (1, 65)),
        (BASE + "x: " + "{a: " * 40, "nested too deeply", (13, 128)),
        ("a: [" + "1, " * 30_000 + "]", "a search space has 10,000 keys and values at most", None),
        ("x" * 500_000, "the text has more than 400,000 characters", (0, 0)),
    ],
)  # fmt: skip
def test_what_is_no_search_space_is_one_problem(folder, text, message, place):
    _, got, _, line, column = refused(folder, text)
    assert got.startswith(message)
    assert place is None or (line, column) == place


def test_windows_line_ends_and_a_byte_order_mark_are_read(folder):
    spec = meant(folder, b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert spec == meant(folder, BASE)


def test_a_long_line_is_cut_around_the_place(folder):
    (folder / "f.yaml").write_text(changed("name: hunt", f"name: {'x' * 90_000}"))
    with pytest.raises(SpecError) as caught:
        load_spec("f.yaml")
    [problem] = caught.value.problems()
    assert problem.message == "'name' has at most 100 characters, got 90000"
    assert len(problem.render()) < 500
    assert "\n       |       ^\n" in problem.render()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (changed("[neg, pos]", "[1, 2]"), None, None),
        (changed("texts: [text]", "texts: text"), "'texts' must be a list, got text",
         "for example texts: [text]"),
        (changed("texts: [text]", "texts: [a, b, c]"), "'texts' must have at most 2 entries, got "
         "[a, b, c]", ""),
        (changed("[neg, pos]", "[neg, pos, pos]"), "'labels' of task 'own' lists 'pos' twice",
         "remove one of them"),
        (changed("texts: [text]", "texts: [text, text]"), "'texts' of task 'own' lists 'text' "
         "twice", "remove one of them"),
        (changed("texts: [text]", "texts: [label]"), "'label' is the label of task 'own' and one "
         "of its texts", ""),
        (changed("labels: [neg, pos]", "kind: regression, span: [5, 1]"),
         "'span' of task 'own' needs low < high, got [5, 1]", "swap the ends: [1, 5]"),
        (changed("labels: [neg, pos]", "kind: regression, span: [1, 1]"),
         "'span' of task 'own' needs low < high, got [1, 1]", "e.g. span: [1, 5]"),
        (changed("name: own", "name: a b"), "a task's name has letters, digits, '_' and '-', "
         "got 'a b'", ""),
        (changed("name: own", "name: a/b"), "a task's name has letters, digits, '_' and '-', "
         "got 'a/b'", ""),
        (changed("name: own", "name: n\u00e4me"), "a task's name has letters, digits, '_' and "
         "'-', got 'n\u00e4me'", ""),
        (changed("name: own", f"name: {'t' * 101}"), "a task's name has at most 100 characters, "
         "got 101", ""),
        (changed(ARMS, "methods: [none, kd]"), "'methods' must be a mapping (method: parameters), "
         "got [none, kd]", "for example methods: {none: {}, kd: {}}"),
        (changed(ARMS, "methods: kd"), "'methods' must be a mapping (method: parameters), got kd",
         "for example methods: {kd: {}}"),
        (changed(ARMS, "methods:"), "'methods' must name at least one method, got null",
         "for example methods: {none: {}, kd: {}}"),
        (changed(TASK, "own"), "unknown task 'own'", "(all of them: raykd ls tasks)"),
        (changed(f"[{TASK}]", "glue/rte"), "'tasks' must be a list of at least one task, got "
         "glue/rte", "for example tasks: [glue/rte]"),
        (changed("name: hunt", f"name: {'x' * 300}"), "'name' has at most 100 characters, got 300",
         "it names the run folder and the report"),
        (changed("confirm: {seeds: [1]}", "confirm: 5"), "'confirm' must be a mapping "
         "(key: value), got 5", "for example confirm: {seeds: [1, 2, 3]}"),
        (BASE + "report: {path: ''}\n", "'path' must name a file, got \"\"",
         "for example reports/{name}.html"),
        (BASE + "report: {path: data}\n", "'path' must name a file, and there is a folder, got "
         "data", "for example data/report.html"),
        (BASE + "report: {path: reports/}\n", "'path' must name a file, got reports/",
         "for example reports/{name}.html"),
        (BASE + "report: {path: data/train.csv/x.html}\n", "'path' is below data/train.csv, "
         "which is a file, got data/train.csv/x.html", "for example reports/{name}.html"),
        (BASE + "report: {path: 'a{name.__class__}'}\n", "'path' may hold {name} and no other "
         "braces, got \"a{name.__class__}\"", "for example reports/{name}.html"),
        (BASE + "report: {path: '{name:>9999999999}'}\n", "'path' may hold {name} and no other "
         "braces, got \"{name:>9999999999}\"", "for example reports/{name}.html"),
        (changed("search: {trials: 1}", "search: {trials: 0}"), "'trials' must be >= 1, got 0", ""),
        (changed("data: {max_length: 32}", "data: {select_on: {split: train, fraction: 10}}"),
         "'fraction' must be < 1, got 10", ""),
        (changed("data: {max_length: 32}", "data: {select_on: validation}"),
         "'select_on' must be a mapping (key: value), got validation",
         "for example select_on: {split: train, fraction: 0.1}"),
        (changed("epochs: 1,", "epochs: {int: [1, 3]},").replace("trials: 1", "scheduler: asha"),
         "'epochs' is searched, and asha compares trials after equally many epochs: there a short "
         "training is at its end, a long one has hardly begun",
         "give epochs one value, or use search.scheduler: none"),
    ],
)  # fmt: skip
def test_wrong_values_are_reported_with_the_right_form(folder, text, message, hint):
    if message is None:  # one message for each of them
        with pytest.raises(SpecError) as caught:
            meant(folder, text)
        assert [(p.message, p.hint) for p in caught.value.problems()] == [
            ("'labels[0]' must be text, got 1", 'quote it: "1"'),
            ("'labels[1]' must be text, got 2", 'quote it: "2"'),
        ]
        return
    _, got, reported, line, _ = refused(folder, text)
    assert (got, reported) == (message, hint)
    assert line > 0


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ("teacher.cache_size=8", "teacher.cache_size", "'cache_size' counts the draws of cache: "
         "sampled, or the tokens of cache: top_k; cache is auto"),
        ("data.rationales={max_new_tokens: 9}", "data.rationales.max_new_tokens",
         "'max_new_tokens' bounds what a teacher writes, and it writes nothing here"),
        ("student={from_teacher: {layers: [0], sort_by_importance: true}}",
         "student.from_teacher.sort_by_importance",
         "'sort_by_importance' sorts heads and neurons by the task loss of a fine-tuned student"),
    ],
)  # fmt: skip
def test_a_setting_that_would_do_nothing_is_refused(folder, change, path, message):
    assert refused(folder, BASE, change)[:2] == (path, message)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("gradient_accumulation_steps: 4", "did you mean 'micro_batch'? it is the rows of a pass "
         "on a worker; batch_size is those of a step"),
        ("fp16: true", "did you mean 'precision'? it is auto, fp32 or bf16"),
        ("learning_rate: 1", "did you mean 'lr'?"),
        ("num_train_epochs: 1", "did you mean 'epochs'?"),
        ("optim: adamw", "did you mean 'optimizer'?"),
        ("attn_implementation: sdpa", "did you mean 'attention'?"),
        ("warmup_steps: 5", "did you mean 'warmup_ratio'? it is a share of the steps"),
        ("trials: 5", "'trials' is a key of search"),
        ("max_length: 5", "'max_length' is a key of data"),
        ("epoch: 5", "did you mean 'epochs'?"),
    ],
)  # fmt: skip
def test_a_key_of_another_program_leads_to_ours(folder, key, meant):
    text = changed("train: {epochs: 1,", f"train: {{{key}, epochs: 1,")
    _, message, hint, line, _ = refused(folder, text)
    assert message == f"unknown key '{key.partition(':')[0]}'"
    assert (hint, line) == (meant, 9)


CONDITION = "methods: {none: {}, ckd: {wrangle: {uniform: [0, 1], when: {%s}}, %s}}"


@pytest.mark.parametrize(
    ("condition", "other", "message", "hint"),
    [
        ("alpha: 0.5", "alpha: {uniform: [0, 1]}", "'wrangle' is never searched: 'alpha' is "
         "searched in uniform [0, 1], which never draws exactly 0.5",
         "search 'alpha' with choice"),
        ("alpha: 0.3", "alpha: 0.5", "'wrangle' is never searched: 'alpha' is set to 0.5, so it "
         "is never 0.3", "search 'alpha', or give the parameter one value"),
        ("alpha: [0.5, 0.6]", "alpha: {choice: [0.5, 0.6]}", "'when' takes one value for 'alpha', "
         "got [0.5, 0.6]", "for example when: {alpha: 0.5}"),
        ("alpha: 2", "alpha: {choice: [0.5, 0.6]}", "'alpha' must lie in [0, 1], got 2", ""),
        ("alpha: 0.7", "alpha: {choice: [0.5, 0.6]}", "'alpha' is never 0.7: it is searched in "
         "choice [0.5, 0.6]", ""),
        ("alpha: 0.25", "alpha: {quniform: [0, 1, 0.1]}", "'alpha' is never 0.25: it is searched "
         "in quniform [0, 1, 0.1]", ""),
        ("angles: true, alpha: 0.5",
         "alpha: {choice: [0.5, 1], when: {angles: false}}, angles: {choice: [true, false]}",
         "'wrangle' is never searched: with the conditions of 'angles' it requires true and false "
         "of 'angles'", "leave one of the conditions out"),
    ],
)  # fmt: skip
def test_a_condition_that_never_holds_is_refused(folder, condition, other, message, hint):
    _, got, reported, line, _ = refused(folder, changed(ARMS, CONDITION % (condition, other)))
    assert (got, reported, line) == (message, hint, 10)


@pytest.mark.parametrize(
    ("condition", "other", "algorithm"),
    [
        ("alpha: 0.5", "alpha: {uniform: [0, 1]}", "grid"),
        ("alpha: 0.5", "alpha: 0.5", "tpe"),
        ("alpha: 0.3", "alpha: {quniform: [0, 1, 0.1]}", "random"),
        ("alpha: 1", "alpha: {choice: [0.5, 1.0]}", "tpe"),
        ("angles: true", "angles: {choice: [true, false]}", "tpe"),
    ],
)
def test_a_condition_that_may_hold_is_accepted(folder, condition, other, algorithm):
    text = changed(ARMS, CONDITION % (condition, other))
    spec = meant(folder, text, f"search.algorithm={algorithm}")
    assert "wrangle" in spec.methods["ckd"].domains


def test_a_condition_between_the_points_of_a_grid_is_refused(folder):
    text = changed(ARMS, CONDITION % ("alpha: 0.3", "alpha: {uniform: [0, 1]}"))
    _, message, hint, _, _ = refused(folder, text, "search.algorithm=grid")
    assert message == ("'wrangle' is never searched: of 'alpha' only the points 0, 0.25, 0.5, "
                       "0.75, 1 are tried")  # fmt: skip
    assert hint == "take one of them"


def test_a_grid_that_could_not_be_listed_is_refused(folder):
    names = ("wrdist", "ltrdist", "wrangle", "ltrangle", "alpha", "temperature")
    domains = ", ".join(f"{name}: {{uniform: [0.1, 0.9]}}" for name in names[:5])
    domains += ", temperature: {uniform: [1, 8]}"
    text = changed(ARMS, f"methods: {{none: {{}}, ckd: {{{domains}}}}}")
    path, message, _, _, _ = refused(folder, text, "search.algorithm={name: grid, points: 8}")
    assert (path, message.split(" of ")[0]) == ("methods.ckd", "grid has 2.62e+05 combinations")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.lr", "expected KEY=VALUE, got 'train.lr'"),
        ("=1", "expected KEY=VALUE, got '=1'"),
        ("train..lr=1", "expected KEY=VALUE, got 'train..lr=1'"),
        ("train.lr=.NaN", "a number must be finite, got .NaN"),
        ("train.lr=*a", "cannot be read as YAML: there is no anchor 'a'"),
        ("train.lr=!!int abc", "!!int takes a whole number, got abc"),
        ("name.x=1", "'name' is the value hunt and has no keys"),
        ("train.lr=" + "[" * 500, "nested too deeply: more than 32 levels"),
        ("train={epochs: 1, epochs: 2}", "duplicate key 'epochs'"),
        ("methods.kd.alpha=2", "'alpha' must lie in [0, 1], got 2"),
        ("methods.kd=true", "'kd' must be a mapping (key: value), got true"),
        ("search.time_budget=99999999999999d", "'time_budget' must be a duration, got "
         "99999999999999d"),
    ],
)  # fmt: skip
def test_wrong_options(folder, change, message):
    path, got, _, _, _ = refused(folder, BASE, change)
    assert got == message
    assert len(path) < 100


@pytest.mark.parametrize(
    ("change", "value"),
    [("methods.kd=false", ["none"]), ("methods.kd.alpha= 0.7", ["none", "kd"]),
     ("train={epochs: 2}", ["none", "kd"]), (" train . lr =1e-2", ["none", "kd"])],
)  # fmt: skip
def test_right_options(folder, change, value):
    assert list(meant(folder, BASE, change).methods) == value


def run(folder: Path, text: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[
        int, str, str]:  # fmt: skip
    (folder / "f.yaml").write_text(text)
    code = main(["validate", "f.yaml", *arguments])
    shown = capsys.readouterr()
    assert "this is a bug" not in shown.err
    return code, shown.out, shown.err


def test_the_plan_says_where_data_comes_from_and_counts_it(folder, capsys):
    code, out, err = run(folder, BASE, capsys)
    assert code == 0
    assert "note: own: 12 of 12 test rows (100 %) occur among the rows that are" in err
    assert "data of own  data; rows: 36 finetune, 12 test, 36 train, 4 validation" in out
    code, out, _ = run(folder, BASE, capsys, "--format", "json")
    assert json.loads(out)["rows"] == {
        "own": {"finetune": 36, "train": 36, "validation": 4, "test": 12}
    }


@pytest.mark.parametrize(
    ("text", "key", "at", "word"),
    [
        (changed("texts: [text]", "texts: [body]"), "texts[0]", "body]", "'body'"),
        (changed("texts: [text]", "texts: [text, body]"), "texts[1]", "body]", "'body'"),
        (changed("texts: [text]", "texts: [text], label: x"), "label", "label: x", "'x'"),
        (changed("texts: [text]", "texts: [label], label: text"), "labels", "labels", "neg, pos"),
        (changed("labels: [neg, pos]", "labels: [neg, other]"), "labels", "labels", "pos"),
        (changed("labels: [neg, pos]", "kind: regression"), "label", "{name", "'neg'"),
        (changed("path: data", "path: data/trian.csv"), "path", "path", "data/trian.csv"),
        (changed("path: data", "path: nowhere"), "path", "path", "nowhere"),
        (changed("path: data", "path: data, splits: {train: all}"), "splits.train", "train: all",
         "'train'"),
        (changed("path: data", "path: data, splits: {validation: dev}"), "splits.validation",
         "validation: dev", "dev"),
        (changed("texts: [text]", "texts: [Text]"), "texts[0]", "Text]", "'Text'"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_are_found_and_shown_in_the_file(folder, capsys, text, key, at, word):
    code, out, err = run(folder, text, capsys)
    assert (code, out) == (2, "")
    assert re.match(rf"error: f\.yaml:2:\d+: tasks\[0\]\.{re.escape(key)}: ", err)
    assert word in err
    column = int(err.split(":")[3])
    assert text.splitlines()[1][column - 1 :].startswith(at)
    code, out, _ = run(folder, text, capsys, "--no-data")
    assert code == 0
    assert "rows:" not in out


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (changed("{max_length: 32}", "{max_length: 32, root: nowhere}"), "data.root"),
        (changed("{max_length: 32}", "{select_on: {split: dev}}"), "data.select_on.split"),
        (changed("{max_length: 32}", "{report_on: {split: test}}"), "data.report_on.split"),
        (changed("{max_length: 32}", "{limit: 1}"), "tasks[0]"),
        (changed("{max_length: 32}", "{limit: 1, select_on: {split: train, fraction: 0.1}}"),
         "data.select_on.fraction"),
        (changed("{max_length: 32}", "{rationales: {source: r.jsonl}}"), "data.rationales.source"),
        (changed("{max_length: 32}", "{rationales: {as_input: true}}"), "data.rationales.as_input"),
        (changed("{max_length: 32}", "{label_type: llm}"), "data.label_type"),
        (changed("{max_length: 32}", "{augment: {vectors: v.txt}}"), "data.augment.vectors"),
    ],
)  # fmt: skip
def test_a_key_of_the_data_that_does_not_fit_is_shown_where_it_stands(folder, capsys, text, key):
    code, _, err = run(folder, text, capsys)
    assert code == 2
    actual = re.match(rf"error: f\.yaml:(\d+):(\d+): {re.escape(key)}: ", err)
    assert actual, err
    if key.startswith("data."):
        line = text.splitlines()[int(actual[1]) - 1]
        assert line[int(actual[2]) - 1 :].startswith(key.rpartition(".")[2])


def test_a_split_that_nothing_reads_is_reported(folder, capsys):
    output = "splits of task 'own' that nothing reads: holdout"
    text = changed(
        "path: data", "path: data, splits: {validation: validation, holdout: validation}"
    )
    assert output in run(folder, text, capsys)[2]
    text = text.replace("max_length: 32", "max_length: 32, report_on: {split: holdout}")
    assert "nothing reads: validation" in run(folder, text, capsys)[2]


@pytest.mark.parametrize(
    ("written", "hint"),
    [("'0,001'", "write 0.001"), ("'1,5e-3'", "write 1.5e-3"), ("0.1%", "write 0.001"),
     ("1 e-3", "write 1e-3"), ("'1,000'", ""), ("'1e-3'", "remove the quotes"), ("fast", "")],
)  # fmt: skip
def test_a_number_as_others_write_it_gets_a_hint(folder, written, hint):
    assert refused(folder, rate(written))[2] == hint


def test_a_root_that_no_task_reads_is_reported(folder, capsys):
    where = str(folder / "data")
    text = changed("{max_length: 32}", f"{{max_length: 32, root: {where}}}")
    output = "no task of this file has rows under data.root"
    assert output not in run(folder, text, capsys)[2]
    assert output in run(folder, text.replace("path: data", f"path: {where}"), capsys)[2]
    assert output in run(folder, text.replace(TASK, "toy/sentiment"), capsys)[2]


def test_what_is_on_a_hub_out_of_reach_is_noted_and_is_no_error(folder, capsys, monkeypatch):
    monkeypatch.setattr("raykd.hub.reachable", lambda: False)
    code, out, err = run(folder, changed(TASK, "glue/rte"), capsys)
    assert (code, err) == (0, "")
    assert (
        "data of glue/rte  the hub: nyu-mll/glue; data and models NOT LOOKED AT: "
        "cannot reach nyu-mll/glue"
    ) in out


def test_data_are_looked_at_where_models_cannot_be(folder, capsys, monkeypatch):
    monkeypatch.setattr("raykd.hub.reachable", lambda: False)
    begin, end = BASE.index("teacher:"), BASE.index("train:")
    models = "teacher: {model: someone/no-such-model}\nstudent: {from_teacher: {layers: [0]}}\n"
    text = BASE[:begin] + models + BASE[end:]
    code, out, err = run(folder, text, capsys)
    assert (code, err) == (0, "")
    assert (
        "36 train, 4 validation; models NOT LOOKED AT: teacher.model: 'someone/no-such-model' is no"
        in out
    )
    code, _, err = run(folder, text.replace("texts: [text]", "texts: [body]"), capsys)
    assert code == 2
    assert ": tasks[0].texts[0]: " in err


def test_a_package_that_is_not_there_is_reported(folder, capsys):
    teacher = "teacher: {model: 'package:sentence-transformers', finetune: {epochs: 1, lr: 1e-3}}\n"
    begin, end = BASE.index("teacher:"), BASE.index("train:")
    student = "student: {from_teacher: {layers: [0], weights: finetuned}}\n"
    code, _, err = run(folder, BASE[:begin] + teacher + student + BASE[end:], capsys)
    assert code == 2
    assert "sentence-transformers" in err


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("x = 1\n", "module 'mine.m' defines no METHOD"),
        ("1 / 0\n", "method 'mine.m' cannot be imported: ZeroDivisionError: division by zero"),
        ("def f(:\n", "method 'mine.m' cannot be imported: SyntaxError: "),
        ("raise SystemExit(3)\n", "method 'mine.m' cannot be imported: SystemExit: 3"),
        ("METHOD = 'kd'\n", "METHOD of 'mine.m' is not a subclass of raykd.methods.base.Method"),
        ("from raykd.methods.kd import METHOD\n", "method 'mine.m' declares no parameters"),
        ("from raykd.methods.kd import METHOD\nclass Params: pass\n",
         "method 'mine.m' declares no parameters"),
        ("from dataclasses import dataclass\nfrom raykd.methods.kd import METHOD\n"
         "@dataclass\nclass Params:\n    a: float = 1.0\n",
         "parameter 'a' of mine.m is not declared"),
        ("from dataclasses import dataclass\nfrom raykd.methods.kd import METHOD\n"
         "from raykd.params import param\n"
         "@dataclass\nclass Params:\n    a: list[int] = param(None, help='A.')\n",
         "parameter 'a' of mine.m must be float, int, bool or str, or None"),
    ],
)  # fmt: skip
def test_a_module_of_the_users_that_is_no_method_is_reported(folder, monkeypatch, module, message):
    (folder / "mine").mkdir()
    (folder / "mine" / "m.py").write_text(module)
    monkeypatch.syspath_prepend(str(folder))
    for name in ("mine", "mine.m"):
        sys.modules.pop(name, None)
    path, got, _, line, _ = refused(folder, changed(ARMS, "methods: {a: {method: mine.m}}"))
    assert (path, line) == ("methods.a.method", 10)
    assert got.startswith(message)


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        ("[null, pos]", 'quote it: "null"'),
        ("[~, pos]", 'quote it: "~"'),
        ("{0: neg, 1: pos}", "for example labels: [neg, pos]"),
        ("{neg: {}, pos: {}}", ""),
    ],
)
def test_labels_of_another_form_get_the_right_one(folder, labels, hint):
    assert refused(folder, changed("[neg, pos]", labels))[2] == hint
