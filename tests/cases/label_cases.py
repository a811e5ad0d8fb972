"""Columns of labels and scores as people bring them."""

from __future__ import annotations

import pyarrow as pa

from raykd.errors import RaykdError, SpecError
from tests.cases.data_case import (
    NEG_POS,
    Case,
    Read,
    classes,
    csv,
    jsonl,
    labelled,
    parquet,
    refused,
)

ONE_TWO = {"labels": ["1", "2"]}
TRUE_FALSE = {"labels": ["True", "False"]}
INTENTS = [f"intent_{k}" for k in range(150)]
SCORES = {"kind": "regression", "labels": [], "span": [0, 5]}

LABEL_CASES = {
    "04 labels from 1 in csv": Case(
        files={"train.csv": csv(labelled(1, 2, 1))}, task=ONE_TWO, outcome=classes(0, 1, 0)
    ),
    "05 labels from 1 in jsonl": Case(
        files={"train.jsonl": jsonl(labelled(1, 2, 1))}, task=ONE_TWO, outcome=classes(0, 1, 0)
    ),
    "05 labels from 1 in parquet": Case(
        files={"train.parquet": parquet(labelled(1, 2, 1))}, task=ONE_TWO, outcome=classes(0, 1, 0)
    ),
    "05 labels from 1 as floats": Case(
        files={"train.parquet": parquet(labelled(1.0, 2.0))}, task=ONE_TWO, outcome=classes(0, 1)
    ),
    "06 numbers as labels in YAML": Case(
        files={"train.csv": csv()}, task={"labels": [1, 2]},
        outcome=refused("labels", error=SpecError),
    ),
    "07 labels 0 and 4": Case(
        files={"train.csv": csv(labelled(0, 4))}, task={"labels": ["0", "4"]},
        outcome=classes(0, 1),
    ),
    "07 labels 0 and 4 in jsonl": Case(
        files={"train.jsonl": jsonl(labelled(0, 4))}, task={"labels": ["0", "4"]},
        outcome=classes(0, 1),
    ),
    "07 labels in another order than their numbers": Case(
        files={"train.jsonl": jsonl(labelled(0, 1, 2))}, task={"labels": ["2", "1", "0"]},
        outcome=classes(2, 1, 0),
    ),
    "08 AG News": Case(
        files={"train.parquet": parquet(labelled(1, 4, 2, 3))},
        task={"labels": ["1", "2", "3", "4"]}, outcome=classes(0, 3, 1, 2),
    ),
    "09 labels -1 and 1 in jsonl": Case(
        files={"train.jsonl": jsonl(labelled(-1, 1))}, task={"labels": ["-1", "1"]},
        outcome=classes(0, 1),
    ),
    "09 labels -1 and 1 in csv": Case(
        files={"train.csv": csv(labelled(-1, 1))}, task={"labels": ["-1", "1"]},
        outcome=classes(0, 1),
    ),
    "10 a stray 0 among stars": Case(
        files={"train.csv": csv(labelled(1, 0, 3))}, task={"labels": ["1", "2", "3"]},
        outcome=refused(r"train\.csv line 3: column 'label' holds '0', expected one of 1, 2, 3",
                        "names that are numbers are not ids"),
    ),
    "11 floats as ids in csv": Case(
        files={"train.csv": csv(labelled("0.0", "1.0"))}, outcome=classes(0, 1)
    ),
    "11 floats after a missing label": Case(
        files={"train.csv": csv(labelled("0.0", "", "1.0"))},
        outcome=refused(r"train\.csv line 3: has no label \(column 'label' is empty\)"),
    ),
    "12 a blank after the label": Case(
        files={"train.csv": csv(labelled("neg ", "pos"))},
        outcome=refused("line 2: column 'label' holds 'neg '", "differs from 'neg' in case or"),
    ),
    "13 labels in another case": Case(
        files={"train.csv": csv(labelled("Neg", "Pos", "Pos"))},
        outcome=refused("3 values of column 'label' are not a class", r"'Pos' \(2\)",
                        "differs from 'neg' in case or blanks only"),
    ),
    "14 truth values in csv": Case(
        files={"train.csv": csv(labelled("False", "True"))}, task={"labels": ["False", "True"]},
        outcome=classes(0, 1),
    ),
    "15 truth values in jsonl, small letters": Case(
        files={"train.jsonl": jsonl(labelled(True, False))}, task={"labels": ["true", "false"]},
        outcome=classes(0, 1),
    ),
    "15 truth values of Python against small letters": Case(
        files={"train.csv": csv(labelled("True", "False"))}, task={"labels": ["true", "false"]},
        outcome=classes(0, 1),
    ),
    "16 a label that is not declared": Case(
        files={"train.csv": csv(labelled("neg", "other", "misc", "other"))},
        outcome=refused("3 values of column 'label'", r"line 3: .*'other', expected one of neg",
                        r"'other' \(2\), 'misc' \(1\)", "add 'other', 'misc' to labels of task"),
    ),
    "30 one row": Case(files={"train.csv": csv(NEG_POS[:1])}, outcome=Read([0], [NEG_POS[0][0]])),
    "32 a class without rows": Case(
        files={"train.csv": csv(NEG_POS[1:])}, outcome=Read([1], [NEG_POS[1][0]])
    ),
    "33 a class without rows anywhere": Case(
        files={"train.csv": csv()}, task={"labels": ["neg", "pos", "neutral"]}, outcome=Read([0, 1])
    ),
    "47 a label that pandas lost": Case(
        files={"train.parquet": parquet(labelled(0.0, 1.0, None))},
        outcome=refused(r"train\.parquet row 3: has no label \(column 'label' is empty\)"),
    ),
    "47 floats of pandas": Case(
        files={"train.parquet": parquet(labelled(0.0, 1.0))}, outcome=classes(0, 1)
    ),
    "48 categories of pandas": Case(
        files={"train.parquet": parquet(NEG_POS, pa.dictionary(pa.int8(), pa.string()))},
        outcome=Read([0, 1]),
    ),
    "103 several labels a row": Case(
        files={"train.jsonl": jsonl([("a", ["neg", "pos"]), ("b", ["neg"])])},
        outcome=refused("2 values of column 'label'", "holds the list", "several labels a row"),
    ),
    "104 an empty span": Case(
        files={"train.csv": csv(labelled(0, 1))}, task={**SCORES, "span": [0, 0]},
        outcome=refused(r"0 to 0|\[0, 0\]", "span", error=RaykdError),
    ),
    "104 scores": Case(
        files={"train.csv": csv(labelled(0, "2.5", " 5"))}, task=SCORES, outcome=classes(0, 2.5, 5)
    ),
    "104 decimal commas": Case(
        files={"train.csv": "text;label\na;0,5\nb;1,5\n"}, task=SCORES,
        outcome=refused(r"2 rows have no number .*line 2: column 'label' holds '0,5', expected a "
                        "number from 0 to 5", "decimal point"),
    ),
    "104 digits with an underscore": Case(
        files={"train.csv": csv(labelled(0, "1_0"))}, task={**SCORES, "span": [0, 10]},
        outcome=refused("line 3: column 'label' holds '1_0', expected a number"),
    ),
    "104 scores outside of the span": Case(
        files={"train.csv": csv(labelled(0, 9, 7))}, task=SCORES,
        outcome=refused(r"2 rows have a score out of range, first: data/train\.csv line 3: column "
                        "'label' holds '9'", r"goes over \[0, 9\]: set span of task 'own'"),
    ),
    "104 no score": Case(
        files={"train.jsonl": jsonl(labelled(1, None))}, task=SCORES,
        outcome=refused("line 2: has no score"),
    ),
    "106 150 intents": Case(
        files={"train.csv": csv(labelled(*INTENTS))}, task={"labels": INTENTS},
        outcome=classes(*range(150)),
    ),
    **{
        f"114 no value where a class is called {name}": Case(
            files={"train.parquet": content}, task={"labels": [name, "some"]},
            outcome=refused(r"train\.parquet row 1: has no label \(column 'label' is empty\)"),
        )
        for name, content in {
            "None": parquet(labelled(None, "some")),
            "nan": parquet(labelled(float("nan"), float("nan"))),
        }.items()
    },
    "114 no value in jsonl where a class is called None": Case(
        files={"train.jsonl": jsonl(labelled(None, "some"))}, task={"labels": ["None", "some"]},
        outcome=refused(r"train\.jsonl line 1: has no label"),
    ),
    "114 a class that is called None in csv": Case(
        files={"train.csv": csv(labelled("None", "some"))}, task={"labels": ["None", "some"]},
        outcome=classes(0, 1),
    ),
    "115 a label with a combining accent": Case(
        files={"train.csv": csv(labelled("cafe\u0301"))}, task={"labels": ["caf\u00e9", "tea"]},
        outcome=refused("looks like 'caf\u00e9'", r"\(cafe\\u0301, not caf\\xe9\)"),
    ),
    "115 a label with an invisible character": Case(
        files={"train.csv": csv(labelled("neg\u200b"))},
        outcome=refused("looks like 'neg' and is written with other or invisible characters"),
    ),
    "116 labels as bytes": Case(
        files={"train.parquet": parquet(labelled(b"neg", b"pos"))},
        outcome=refused("store the column as text, not as bytes"),
    ),
    "117 f1 of three labels": Case(
        files={"train.csv": csv()}, task={"labels": ["a", "b", "c"], "metric": "f1"},
        outcome=refused("'f1' is that of the second of two labels", "f1_macro", error=SpecError),
    ),
    "104 commas between thousands": Case(
        files={"train.csv": csv(labelled('"1,000"'))}, task={**SCORES, "span": [0, 5000]},
        outcome=refused("holds '1,000'", "no commas between thousands"),
    ),
    "104 a number that is too large to be one": Case(
        files={"train.csv": csv(labelled("1e999"))}, task=SCORES,
        outcome=refused("holds '1e999', expected a number from 0 to 5", "repair or remove"),
    ),
    "104 a span that is no list": Case(
        files={"train.csv": csv(labelled(1))}, task={**SCORES, "span": "0-5"},
        outcome=refused("'span' must be a list", r"for example span: \[0, 5\]", error=SpecError),
    ),
    **{
        f"110 the same values in {name}": Case(
            files={name: content}, task=TRUE_FALSE, outcome=classes(0, 1, 0)
        )
        for name, content in {
            "train.csv": csv(labelled(True, False, True)),
            "train.tsv": csv(labelled(True, False, True)).replace(",", "\t"),
            "train.jsonl": jsonl(labelled(True, False, True)),
            "train.parquet": parquet(labelled(True, False, True)),
        }.items()
    },
}  # fmt: skip
