"""The page of the search-space file: every section and key, from the schema."""

from __future__ import annotations

from docs_pages import DOCS
from docs_pages.methods import parameters
from raykd.cli.show import section_page
from raykd.spec.method_section import train_infos
from raykd.spec.reference import SECTIONS

PATH = DOCS / "reference" / "search-space.md"

TITLES = {
    "tasks": "An entry of `tasks`", "sources": "An entry of `sources` of a task", "data": "`data`",
    "select_on": "`data.select_on`", "report_on": "`data.report_on`",
    "augment": "`data.augment`", "rationales": "`data.rationales`",
    "teacher": "`teacher`", "outputs": "`teacher.outputs`", "ask": "`teacher.ask`",
    "finetune": "`teacher.finetune`",
    "student": "`student`", "from_teacher": "`student.from_teacher`",
    "lora": "`student.lora`",
    "model": "`model`, given by its sizes", "train": "`train`", "search": "`search`",
    "objective": "`search.objective`", "confirm": "`confirm`",
    "seeds": "`confirm.seeds`, by a plan", "resources": "`resources`",
    "report": "`report`",
}  # fmt: skip
"""Sections in the order of the page, with the place where each stands in a file."""

HEAD = """\
# The search-space file

Generated from the schema by `make docs-pages`; do not edit this page. `raykd show SECTION` prints
the table of one section, and `raykd validate FILE` checks a file against all of them.

A search space is one YAML 1.2 file. It needs `name`, `tasks`, `teacher`, `student`, `train` and
`methods`; every other section has defaults. Unknown keys, duplicate keys and values out of bounds
are errors, shown with line, column and a suggestion. There are no includes and no interpolation:
`--set KEY=VALUE` on the command line is the only override, for example
`--set train.epochs=2 --set 'tasks=[glue/rte]'`.

```yaml
name: rte                                            # name of the run folder and the report
description: Plain KD against CKD.                   # optional; shown in the report
tasks: [glue/rte, glue/mrpc]                         # one study per arm and task
data: {max_length: 128}
teacher: {model: google-bert/bert-base-uncased, finetune: {epochs: 3, lr: 2e-5}}
student: {from_teacher: {layers: [1, 3, 5, 7, 9, 11], weights: finetuned}}
train: {epochs: 6, lr: {loguniform: [1e-5, 1e-4]}}   # shared by all arms
methods:                                             # arm: parameters
  none: {}
  kd: {alpha: {uniform: [0.1, 1.0]}, temperature: {choice: [1, 2, 4]}}
  ckd-wide: {method: ckd, window: null}              # an arm with a name of its own
search: {trials: 30, scheduler: asha}
confirm: {seeds: [1, 2, 3, 4, 5]}
resources: {gpus_per_worker: 0.5}
report: {baseline: kd}
```

## In an editor

Editors that read JSON schemas complete keys and names, explain them and check values while you
type. `raykd init` writes the schema next to the file, as `schema.json`; for a file of your own, do
so with `raykd schema > schema.json`, and begin the file with the line
`# yaml-language-server: $schema=schema.json`, as the shipped files do.

## Domains

A parameter under `train` or under an arm of `methods` is either a constant or a domain. A domain is
a mapping with one key:

| domain | draws |
| --- | --- |
| `{uniform: [low, high]}` | a float, uniformly |
| `{loguniform: [low, high]}` | a float, uniformly on the log scale; `low` > 0 |
| `{quniform: [low, high, step]}` | one of `low`, `low + step`, ..., up to `high` |
| `{int: [low, high]}` | an integer; both ends are included |
| `{logint: [low, high]}` | an integer on the log scale; both ends are included |
| `{choice: [a, b, c]}` | one of the listed values |

`when` makes a domain conditional: `wrangle: {loguniform: [0.1, 100], when: {angles: true}}` is
searched only in trials that have `angles: true`.

## `methods`

The section maps arms to parameters. The name of an arm is the name of its method unless `method`
says otherwise, so that two arms can compare two settings of one method. Two keys are reserved:

| key | meaning |
| --- | --- |
| `method` | The method of this arm: a name of `raykd ls methods`, or of a module, with dots. |
| `start` | A list of known good settings, which the search tries first. |

A third one is a parameter of every arm, to be set or searched: `unlabelled`, which is `true` unless
an arm is to leave out the rows of `data.unlabelled`. All other keys are parameters of the method
([Methods](methods.md)). Training settings are the same for every arm and stand under
[`train`](#train). An arm whose value is `false` is left out, which is how `--set methods.kd=false`
switches one off. A file without an arm that learns from no teacher (`none`, `sft`) gets the arm
`none`: the share of the gap that a method recovers needs that floor.

## `loggers` and `log_every`

`loggers: [csv, {mlflow: {uri: http://localhost:5000}}]` names what receives trials, scores and
verdicts while the sweep runs: a list of names, or of `{NAME: {parameters}}` with those of
[Loggers](loggers.md).
`log_every` (default 50) is how many optimizer steps pass between two of the step metrics that they
get; `null` stands for none. Neither changes a result.
"""


def text() -> str:
    """The whole page."""
    lines = [HEAD]
    for name, title in TITLES.items():
        page = section_page(name)
        assert page is not None, name
        lines += [f"## {title}", "", page["title"].replace("``", "`"), ""]
        declared = page["parameters"]
        if name == "train":
            lines += [
                "Every key is a constant or a domain; the meaning of each is in the table of "
                "[training parameters](methods.md#training).",
                "",
                ", ".join(f"`{key}`" for key in train_infos()) + ".",
                "",
            ]
            continue
        lines += [*parameters(declared), ""]
    return "\n".join(lines[:-1]) + "\n"


def missing_sections() -> set[str]:
    """Sections of the schema that the page leaves out."""
    return {*SECTIONS, "train", "finetune"} - set(TITLES)
