from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from raykd.data.base import DataSettings
from raykd.data.class_names import class_ids
from raykd.data.metrics import CLASSIFICATION, REGRESSION
from raykd.data.table import Table
from raykd.data.text_scores import NAMES
from raykd.errors import DataError
from raykd.spec.descriptions import describe_data
from raykd.spec.load import load_spec, spec_from_dict, to_yaml
from raykd.spec.schema import OwnTaskSpec
from raykd.task_setup.tasks import task_of
from tests.unit.spec.files import ARMS, HEAD, only, write

OWN = "{name: reviews, texts: [title, body], labels: [neg, pos], path: data/reviews}"


def with_task(text: str) -> str:
    return HEAD.replace("[toy/sentiment]", f"[toy/sentiment, {text}]") + ARMS


def test_a_described_task_stands_next_to_shipped_ones(tmp_path):
    spec = load_spec(write(tmp_path, with_task(OWN)))
    assert spec.tasks == ("toy/sentiment", "reviews")
    task = task_of(spec, "reviews")
    assert (task.texts, task.labels, task.metric) == (("title", "body"), ("neg", "pos"), "accuracy")
    assert task_of(spec, "toy/sentiment").name == "toy/sentiment"


def test_it_survives_the_resolved_file_and_plain_data(tmp_path):
    spec = load_spec(write(tmp_path, with_task(OWN)))
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(spec))
    assert load_spec(again) == spec
    assert spec_from_dict(spec.as_dict()) == spec


def test_a_regression_on_the_hub(tmp_path):
    text = (
        "{name: scores, texts: [a], kind: regression, span: [0, 5], hub: 'me/mine:small', "
        "metrics: [pearson, spearman], splits: {validation: dev}}"
    )
    task = task_of(load_spec(write(tmp_path, with_task(text))), "scores")
    assert (task.hub, task.span, task.num_labels) == (("me/mine", "small"), (0.0, 5.0), 1)
    assert task.metrics == ("spearman", "pearson")  # the first one suited decides
    assert task.hub_splits["validation"] == "dev"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: reviews, texts: [a], labels: [n, p]}", "needs either path or hub"),
        ("{name: reviews, texts: [a], path: x}", "needs labels"),
        ("{name: imdb, texts: [a], labels: [n, p], path: x}", "'imdb' is a task of raykd"),
        ("{name: 'a b', texts: [a], labels: [n, p], path: x}", "letters, digits"),
        ("{name: r, texts: [a, b, c], labels: [n, p], path: x}", "at most 2 entries"),
        ("{name: r, labels: [n, p], path: x}", "needs the key 'texts'"),
        ("{name: r, texts: [a], labels: [n, p], path: x, metric: pearson}", "is not a metric of"),
        ("{name: r, texts: [a], labels: [n, p], path: x, columns: y}", "unknown key 'columns'"),
        ("{name: r, texts: [a], labels: [n, p], path: x, kind: regression}", "has no labels"),
        ("5", "a task is a name, or a mapping that describes one, got 5"),
        ("{name: r, kind: text, path: x}", "needs the key 'prompt' or 'messages'"),
        ("{name: r, kind: text, prompt: q, messages: m, path: x}", "messages, which hold every"),
        ("{name: r, kind: text, prompt: q, texts: [a], path: x}", "'texts' is not a key of a task"),
        ("{name: r, texts: [a], labels: [n, p], prompt: q, path: x}", "'prompt' is not a key of a"),
        ("{name: r, kind: text, prompt: '', path: x}", "'prompt' of task 'r' is empty"),
        ("{name: r, kind: text, prompt: q, template: chatlm, path: x}", "is not a template"),
        ("{name: r, kind: text, messages: m, template: 'Q: {prompt}', path: x}", "has a place for"),
        ("{name: r, kind: text, prompt: q, context: c, template: 'Q: {prompt}', path: x}",
         "leaves out its context"),
        ("{name: r, kind: text, prompt: q, loss_on: all, path: x}", "has one response a row"),
        ("{name: r, kind: text, prompt: q, loss_on: some, path: x}", "must be last or all"),
        ("{name: r, kind: text, prompt: q, too_long: oldest_turns, path: x}", "has no turns"),
        ("{name: r, kind: text, prompt: q, metric: accuracy, path: x}", "is not a metric of text"),
        ("{name: r, kind: text, prompt: q, metric: not_there.f, path: x}", "cannot be imported"),
        ("{name: r, kind: text, prompt: q, metric: matched, path: x}", "needs a pattern"),
        ("{name: r, kind: text, prompt: q, pattern: a, path: x}", "is used by no metric"),
        ("{name: r, kind: text, prompt: q, metric: matched, pattern: '(', path: x}",
         "is not a regular expression"),
        ("{name: r, kind: text, prompt: q, max_new_tokens: 0, path: x}", "must be >= 1, got 0"),
        *((f"{{name: r, texts: [a], labels: [n, p], {place}}}", message) for place, message in [
            ("path: ''", "'path' of task 'r' is empty"),
            ("path: []", "'path' of task 'r' names no file"),
            ("path: {test: a.csv}", "names no files of train"),
            ("path: a, sources: [{path: b}]", "has sources, or one path or hub, not both"),
            ("sources: [{path: a}, {weight: 2}]", "source 2 of task 'r' needs either path or hub"),
            ("sources: [{path: a, weight: 0}]", "must be > 0, got 0"),
            ("sources: [{path: a, hub: b}]", "source 1 of task 'r' needs either path or hub, not"),
            ("path: a, revision: main", "has a revision, which only data sets of the hub have"),
            ("path: a, stream: true", "is streamed, which only data sets of the hub are"),
            ("path: a, splits: {train: 0.9, test: 0.2}", "adds up to 1.1, expected at most 1"),
            ("path: a, splits: {test: 0.2}", "has no share of train"),
            ("path: a, splits: {train: 0.8, test: dev}", "has names and fractions"),
            ("hub: a/b, splits: {train: 0.8, test: 0.2}", "its rows are not one set"),
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_reported_with_its_place(tmp_path, text, message):
    actual = only(tmp_path, with_task(text))
    assert message in actual.message
    assert actual.line == 2


@pytest.mark.parametrize(
    ("labels", "pair"),
    [
        (["1", "1.0"], "'1' and '1.0'"),
        (["2", "x", "02"], "'2' and '02'"),
        (["100", "1e2"], "'100' and '1e2'"),
        (["0", "-0"], "'0' and '-0'"),
        (["true", "True"], "'true' and 'True'"),
        (["FALSE", " false"], "'FALSE' and ' false'"),
        (["1", "True"], "'1' and 'True'"),  # what most programs write for each other
        (["False", "0.0"], "'False' and '0.0'"),
        (["a", " a"], "'a' and ' a'"),
        (["so so", "so  so"], "'so so' and 'so  so'"),
        (["a b", "a\u00a0b"], "'a b' and 'a\\xa0b'"),
        (["caf\u00e9", "cafe\u0301"], "'caf\\xe9' and 'cafe\\u0301'"),
        (["a", "a\u200b"], "'a' and 'a\\u200b'"),
    ],
)
def test_names_that_a_file_can_hold_as_one_are_refused(tmp_path, labels, pair):
    text = f"{{name: r, texts: [a], labels: {json.dumps(labels)}, path: x}}"
    actual = only(tmp_path, with_task(text))
    assert actual.path == "tasks[1].labels"
    assert actual.message == f"'labels' of task 'r' lists {pair}, which a file can hold as one"


@pytest.mark.parametrize(
    "labels",
    [
        ["A", "a"], ["yes", "Yes"], ["0", "1"], ["0", "True"], ["1", "no"], ["10", "1.01"],
        ["\u2460", "1"], ["a_b", "a b"], ["none", "null"], ["1", "one"], ["+", "-"],
    ],
)  # fmt: skip
def test_names_that_stay_apart_in_every_file_are_two(tmp_path, labels):
    text = f"{{name: r, texts: [a], labels: {json.dumps(labels)}, path: x}}"
    spec = load_spec(write(tmp_path, with_task(text)))
    assert spec.own_tasks["r"].labels == tuple(labels)
    table = Table(columns={"label": labels[::-1]}, origin="rows")
    assert class_ids(table, "label", labels).tolist() == [1, 0]


def test_the_metrics_of_the_schema_are_those_there_are():
    assert set(OwnTaskSpec.SUITED["classification"]) == set(CLASSIFICATION)
    assert set(OwnTaskSpec.SUITED["regression"]) == set(REGRESSION)
    kinds = get_args(OwnTaskSpec.model_fields["kind"].annotation)
    assert set(kinds) == set(OwnTaskSpec.SUITED) == set(OwnTaskSpec.KEYS)
    text = OwnTaskSpec.SUITED["text"]
    assert set(text) == {*NAMES, *OwnTaskSpec.TALLIED}


def test_where_rows_are_reaches_the_task(tmp_path):
    text = (
        "{name: r, texts: [a], labels: [n, p], sources: [{path: {train: [a.csv, 'b*']}, weight: 2},"
        " {hub: 'o/n:small', revision: v1}], splits: {validation: dev}}"
    )
    spec = load_spec(write(tmp_path, with_task(text)))
    one, two = task_of(spec, "r").sources
    assert (one.path, one.weight) == ({"train": ("a.csv", "b*")}, 2)
    assert (two.hub, two.revision, two.weight) == (("o/n", "small"), "v1", 1)
    assert task_of(spec, "r").hub_splits["validation"] == "dev"
    assert describe_data(spec, "r") == "train: a.csv, b* x 2, the hub: o/n:small at v1"
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(spec))
    assert load_spec(again) == spec
    text = "{name: r, texts: [a], labels: [n, p], hub: o/n, revision: v2}"
    task = task_of(load_spec(write(tmp_path, with_task(text))), "r")
    assert task.reader(DataSettings()).revision == "v2"
    text = "{name: r, texts: [a], labels: [n, p], path: a.csv, splits: {train: 0.9, test: 0.1}}"
    task = task_of(load_spec(write(tmp_path, with_task(text))), "r")
    assert task.fractions == {"train": 0.9, "test": 0.1}


def test_what_is_streamed_is_as_many_rows_as_the_file_says(tmp_path):
    cases = {"hub: o/n, stream: true": "", "sources: [{hub: o/n, stream: true}]": "sources[0]"}
    for where, key in cases.items():
        text = f"{{name: r, texts: [a], labels: [n, p], {where}}}"
        spec = load_spec(write(tmp_path, with_task(text)))
        assert describe_data(spec, "r") == "the hub: o/n, streamed"
        task = task_of(spec, "r")
        with pytest.raises(DataError, match=r"data\.limit does not say how many rows") as caught:
            task.reader(DataSettings())
        assert caught.value.problems()[0].path == f".{key}.stream".replace("..", ".")
        reader = task.reader(DataSettings(limit=7, seed=3))
        assert (reader.readers[0] if key else reader).stream == (7, 3)


def test_a_text_task_survives_the_resolved_file(tmp_path):
    text = (
        "{name: chats, kind: text, messages: m, loss_on: all, template: '{{ messages[0].content }}'"
        ", template_args: {enable_thinking: false}, metrics: [matched], pattern: '\\\\d+', path: x}"
    )
    spec = load_spec(write(tmp_path, with_task(text.replace("\\\\", "\\"))))
    task = task_of(spec, "chats")
    assert task.metrics == ("log_likelihood", "matched", "token_accuracy")
    assert (task.text_metrics, task.too_long) == (("matched",), "oldest_turns")
    assert task.kind == "causal_lm"
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(spec))
    assert load_spec(again) == spec


def test_the_document_shows_a_valid_task(tmp_path):
    text = (Path(__file__).parents[3] / "docs/how-to/add-a-task.md").read_text()
    block = text.split("```yaml\n")[1].split("```")[0]
    spec = load_spec(write(tmp_path, HEAD.replace("tasks: [toy/sentiment]\n", block) + ARMS))
    assert spec.tasks == ("glue/sst2", "reviews", "ratings")
