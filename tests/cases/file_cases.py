"""Files, columns and texts as people bring them."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa

from raykd.errors import SpecError
from tests.cases.data_case import NEG_POS, Case, Read, csv, jsonl, parquet, parquet_of, refused

SCRIPTS = "\u5f88\u597d\u7684 \U0001f970 \u0645\u0631\u062d\u0628\u0627"
LONG = "word " * 40_000
TWO_TEXTS = parquet_of(pa.Table.from_arrays([["a"], ["b"], ["neg"]], ["text", "text", "label"]))

FILE_CASES = {
    "00 csv": Case(files={"train.csv": csv()}, outcome=Read([0, 1])),
    "01 U+2028 in jsonl": Case(
        files={"train.jsonl": jsonl([("one\u2028two\u2029\x85three\x0b\x0c\x1c\x1d\x1e", "pos")])},
        outcome=Read([1], ["one\u2028two\u2029\x85three\x0b\x0c\x1c\x1d\x1e"]),
    ),
    "01 U+2028 in csv": Case(
        files={"train.csv": csv([("one\u2028two\x85three\x0c", "pos")])},
        outcome=Read([1], ["one\u2028two\x85three\x0c"]),
    ),
    "01 U+2028 in tsv": Case(
        files={"train.tsv": "text\tlabel\none\u2028two\x85three\x0c\x1e\tpos\n"},
        outcome=Read([1], ["one\u2028two\x85three\x0c\x1e"]),
    ),
    "02 byte order mark in jsonl": Case(
        files={"train.jsonl": "\ufeff" + jsonl()}, outcome=Read([0, 1])
    ),
    "02 byte order marks of files that were joined": Case(
        files={"train.jsonl": ("\ufeff" + jsonl()) * 2},
        outcome=Read([0, 1, 0, 1], [text for text, _ in NEG_POS] * 2),
    ),
    "02 byte order mark in json": Case(
        files={"train.json": "\ufeff" + json.dumps([{"text": "a", "label": "pos"}])},
        outcome=Read([1], ["a"]),
    ),
    "02 byte order mark in tsv": Case(
        files={"train.tsv": "\ufefftext\tlabel\na\tpos\n"}, outcome=Read([1], ["a"])
    ),
    "03 byte order mark and CRLF in csv": Case(
        files={"train.csv": "\ufeff" + csv().replace("\n", "\r\n")}, outcome=Read([0, 1])
    ),
    "03 CRLF in tsv and jsonl": Case(
        files={"train.tsv": "text\tlabel\r\na\tpos\r\n"}, outcome=Read([1], ["a"])
    ),
    "03 CRLF in jsonl": Case(
        files={"train.jsonl": jsonl().replace("\n", "\r\n")}, outcome=Read([0, 1])
    ),
    "03 carriage returns only": Case(
        files={"train.csv": csv().replace("\n", "\r")}, outcome=Read([0, 1])
    ),
    "03 a carriage return within a text of a tsv": Case(
        files={"train.tsv": "text\tlabel\na\rb\tpos\n"}, outcome=Read([1], ["a\rb"])
    ),
    "20 a text of 200,000 characters in csv": Case(
        files={"train.csv": csv([(LONG, "pos")])}, outcome=Read([1], [LONG])
    ),
    "20 a text of 200,000 characters in tsv": Case(
        files={"train.tsv": f"text\tlabel\n{LONG}\tpos\n"}, outcome=Read([1], [LONG])
    ),
    "21 a NUL byte": Case(
        files={"train.csv": csv([("a\0b", "pos")])}, outcome=Read([1], ["a\0b"])
    ),
    "22 semicolons": Case(
        files={"train.csv": "text;label\na, b;neg\nc;pos\n"}, outcome=Read([0, 1], ["a, b", "c"])
    ),
    "22 tabs in csv": Case(
        files={"train.csv": "text\tlabel\na\tneg\n"}, outcome=Read([0], ["a"])
    ),
    "22 a spreadsheet that declares its separator": Case(
        files={"train.csv": "sep=;\ntext;label\na;neg\nb,x;pos\n"},
        outcome=Read([0, 1], ["a", "b,x"]),
    ),
    "22 commas in tsv": Case(
        files={"train.tsv": csv()}, outcome=refused("no column 'text'", "only one column was found")
    ),
    "23 two columns of a name in csv": Case(
        files={"train.csv": "text,text,label\na,b,neg\n"},
        outcome=refused(r"train\.csv has more than one column 'text'", "rename or remove one"),
    ),
    "23 two columns of a name in tsv": Case(
        files={"train.tsv": "text\ttext\tlabel\na\tb\tneg\n"},
        outcome=refused("more than one column 'text'"),
    ),
    "23 two columns of a name in jsonl": Case(
        files={"train.jsonl": '{"text": "a", "text": "b", "label": "neg"}\n'},
        outcome=refused("more than one column 'text'"),
    ),
    "23 two columns of a name in parquet": Case(
        files={"train.parquet": TWO_TEXTS}, outcome=refused("more than one column 'text'")
    ),
    "23 two columns of a name that is not read": Case(
        files={"train.csv": "text,x,x,label\na,1,2,neg\n"}, outcome=Read([0], ["a"])
    ),
    "24 an empty label": Case(
        files={"train.csv": csv([*NEG_POS, ("a", ""), ("b", "")])},
        outcome=refused(r"2 rows have no label, first: data/train\.csv line 4: has no label"),
    ),
    "25 a quote that is not closed": Case(
        files={"train.csv": csv([('he said "hi', "pos"), ('"never closed', "neg"), ("a", "pos")])},
        outcome=refused(r"train\.csv line 3: a text that begins with a quote", "twice"),
    ),
    "25 a quote that is closed rows later": Case(
        files={"train.csv": csv([('"open', "pos"), ("a", "pos"), ('"closed', "neg")])},
        outcome=refused(r"train\.csv line 2: a text that begins with a quote"),
    ),
    "25 quotes as they should be": Case(
        files={"train.csv": csv([('"he said ""hi"", twice\nand left"', "pos"), ("b", "neg")])},
        outcome=Read([1, 0], ['he said "hi", twice\nand left', "b"]),
    ),
    "26 quotes in tsv": Case(
        files={"train.tsv": 'text\tlabel\n"never closed\tneg\nhe said "hi\tpos\n'},
        outcome=Read([0, 1], ['"never closed', 'he said "hi']),
    ),
    "27 latin-1": Case(
        files={"train.csv": (csv() + "caf\xe9,pos\n\xfcber,neg\n").encode("latin-1")},
        outcome=refused(r"2 lines are not UTF-8, first: data/train\.csv line 4: the byte 0xe9",
                        "save the file as UTF-8"),
    ),
    "28 UTF-16": Case(
        files={"train.csv": csv().encode("utf-16")},
        outcome=refused(r"train\.csv is not UTF-8 but UTF-16", "save the file as UTF-8"),
    ),
    "28 UTF-16 without a mark": Case(
        files={"train.jsonl": jsonl().encode("utf-16-le")}, outcome=refused("UTF-16")
    ),
    "29 a header and no rows": Case(
        files={"train.csv": "text,label\n"}, outcome=refused(r"train\.csv has no rows")
    ),
    "29 an empty file": Case(
        files={"train.jsonl": ""}, outcome=refused(r"train\.jsonl has no rows")
    ),
    "29 an empty Parquet file": Case(
        files={"train.parquet": parquet([])}, outcome=refused(r"train\.parquet has no rows")
    ),
    "34 half of a character": Case(
        files={"train.jsonl": '{"text": "a\\ud83db \\ud83d\\ude00", "label": "pos"}\n'},
        outcome=Read([1], ["a\ufffdb \U0001f600"]),
    ),
    "35 emoji and scripts": Case(
        files={"train.csv": csv([(SCRIPTS, "pos")])},
        outcome=Read([1], [SCRIPTS]),
    ),
    "36 an array of JSON": Case(
        files={"train.json": json.dumps([{"text": t, "label": y} for t, y in NEG_POS], indent=2)},
        outcome=Read([0, 1]),
    ),
    "36 an array in a file of lines": Case(
        files={"train.jsonl": json.dumps([{"text": t, "label": y} for t, y in NEG_POS])},
        outcome=Read([0, 1]),
    ),
    "36 objects over several lines": Case(
        files={"train.json": "\n".join(
            json.dumps({"text": t, "label": y}, indent=1) for t, y in NEG_POS)},
        outcome=Read([0, 1]),
    ),
    "36 lines in .json and .ndjson": Case(files={"train.json": jsonl()}, outcome=Read([0, 1])),
    "36 ndjson": Case(files={"train.ndjson": jsonl()}, outcome=Read([0, 1])),
    "36 an array with an error": Case(
        files={"train.json": '[{"text": "a", "label": "neg"},\n {"text": }]'},
        outcome=refused(r"train\.json line 2: no JSON: Expecting value \(column 11\)"),
    ),
    "37 gzip": Case(
        files={"train.csv.gz": gzip.compress(csv().encode())}, outcome=Read([0, 1])
    ),
    "37 gzip of jsonl with another case": Case(
        files={"train.JSONL.GZ": gzip.compress(jsonl().encode())}, outcome=Read([0, 1])
    ),
    "37 gzip that is cut off": Case(
        files={"train.csv.gz": gzip.compress(csv().encode())[:-12]},
        outcome=refused(r"train\.csv\.gz cannot be read"),
    ),
    "38 a suffix in large letters": Case(files={"train.CSV": csv()}, outcome=Read([0, 1])),
    "39 splits with other names": Case(
        files={"train.csv": csv(), "dev.csv": csv(NEG_POS[1:])},
        task={"splits": {"validation": "dev"}}, split="validation",
        outcome=Read([1], [NEG_POS[1][0]]),
    ),
    "39 a split that is not there": Case(
        files={"train.csv": csv(), "dev.xlsx": b"x"}, split="validation",
        outcome=refused(r"no split 'validation' \(splits: train\)", r"validation\.\* \(\.parquet",
                        r"the folder holds dev\.xlsx, train\.csv"),
    ),
    "40 the path is a file": Case(
        files={"train.csv": csv()}, task={"path": "data/train.csv", "splits": {"train": 1.0}},
        outcome=Read([0, 1]),
    ),
    "40 the path is a file of too few rows": Case(
        files={"train.csv": csv()}, task={"path": "data/train.csv"},
        outcome=refused(r"train\.csv has 2 rows, too few for splits of train: 0.8, validation"),
    ),
    "40 the path is not there": Case(
        files={"train.csv": csv()}, task={"path": "dta"},
        outcome=refused("the folder 'dta' of task own does not exist"),
    ),
    "41 columns in another case": Case(
        files={"train.csv": csv(header="Text,Label")},
        outcome=refused(r"train\.csv has no column 'text' \(columns: Text, Label\)",
                        "rename the column 'Text' to 'text', or write it so in texts of task"),
    ),
    "41 no such column": Case(
        files={"train.csv": csv(header="body,label")},
        outcome=refused("no column 'text'", "name one of these columns in texts of task 'own'"),
    ),
    "43 texts is a text": Case(
        files={"train.csv": csv()}, task={"texts": "text"},
        outcome=refused("texts", error=SpecError),
    ),
    "44 three texts": Case(
        files={"train.csv": csv()}, task={"texts": ["a", "b", "c"]},
        outcome=refused("texts", error=SpecError),
    ),
    "45 a number as name": Case(
        files={"train.csv": csv()}, task={"name": "1"}, outcome=Read([0, 1])
    ),
    "46 no text": Case(
        files={"train.jsonl": jsonl([*NEG_POS, (None, "pos")]) + '{"label": "neg"}\n'},
        outcome=refused(r"2 rows have no text in column 'text', first: data/train\.jsonl line 3: "
                        "column 'text' holds nothing, expected a text"),
    ),
    "49 a number as text": Case(
        files={"train.jsonl": jsonl([*NEG_POS, (12345, "pos")])},
        outcome=refused(r"train\.jsonl line 3: column 'text' holds 12345, expected a", "quotes"),
    ),
    "49 lists and mappings as text": Case(
        files={"train.jsonl": jsonl([(["a", "b"], "pos"), ({"en": "a"}, "pos")])},
        outcome=refused("2 rows have no text", r"holds the list \['a', 'b'\]", "join the words"),
    ),
    "49 a mapping as text": Case(
        files={"train.jsonl": jsonl([({"en": "a"}, "pos")])},
        outcome=refused(r"the mapping \{'en': 'a'\}", r"make the field that .* \(en\)"),
    ),
    "111 JSON with an error": Case(
        files={"train.jsonl": '{"text": "a", "label": "neg"}\n{"text": "b"\n{"text": }\n'},
        outcome=refused(r"2 lines are not JSON, first: data/train\.jsonl line 2: no JSON: "
                        r"Expecting ',' delimiter \(column 13\)"),
    ),
    "111 not as many fields": Case(
        files={"train.csv": "text,label\na,neg\nb, c,pos\nd\n"},
        outcome=refused("2 rows have not as many fields as the header, first: "
                        r"data/train\.csv line 3: has 3 field\(s\), the header has 2"),
    ),
    "113 nested too deeply": Case(
        files={"train.jsonl": '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}\n"},
        outcome=refused(r"train\.jsonl line 1: no JSON: nested too deeply"),
    ),
    "113 a number of 5,000 digits": Case(
        files={"train.jsonl": '{"text": "a", "label": ' + "1" * 5_000 + "}\n"},
        outcome=refused(r"train\.jsonl line 1: no JSON: Exceeds the limit"),
    ),
    "113 a Parquet file with bytes that are no text": Case(
        files={"train.parquet": parquet_of(pa.table({
            "text": pa.array([b"\xff"], pa.binary()).view(pa.string()), "label": ["neg"]}))},
        outcome=refused(r"train\.parquet is not a readable Parquet file"),
    ),
    "22 semicolons where lines end with carriage returns": Case(
        files={"train.csv": "text;label\ra, b;neg\rc;pos\r"}, outcome=Read([0, 1], ["a, b", "c"])
    ),
    "118 columns in place of rows": Case(
        files={"train.json": json.dumps({"text": ["a", "b"], "label": ["neg", "pos"]})},
        outcome=refused("holds the list", "the file holds columns, not rows"),
    ),
    "118 columns in place of rows, as pandas writes them": Case(
        files={"train.json": json.dumps({"text": {"0": "a", "1": "b"},
                                         "label": {"0": "neg", "1": "pos"}})},
        outcome=refused("holds the mapping", "orient='records'"),
    ),
    "118 rows below a key": Case(
        files={"train.json": json.dumps({"data": [{"text": "a", "label": "neg"}]})},
        outcome=refused("no column 'text'", "the rows seem to stand in 'data'"),
    ),
    "119 parts with a hash in their names": Case(
        files={f"train-0000{k}-of-00002-0a1b2c3d4e5f6789.parquet": parquet([row])
               for k, row in enumerate(NEG_POS)},
        outcome=Read([0, 1]),
    ),
    "119 quotes in the header of a tsv": Case(
        files={"train.tsv": '"text"\t"label"\n"a"\t"neg"\n'},
        outcome=refused("no column 'text'", "rename the column '\"text\"' to 'text'"),
    ),
    "120 validation rows that are those of train": Case(
        files={"train.csv": csv()}, task={"splits": {"validation": "train"}},
        outcome=refused("'validation' of task 'own' is what it is trained on", error=SpecError),
    ),
    "121 an address as the name of a data set": Case(
        files={}, task={"path": [], "hub": "https://hub.example/datasets/mine"},
        outcome=refused("must be NAME or NAME:CONFIGURATION", "owner/ratings", error=SpecError),
    ),
}  # fmt: skip
