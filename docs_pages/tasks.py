"""The page of tasks and model families, from what the package ships."""

from __future__ import annotations

from docs_pages import DOCS
from docs_pages.markdown import table
from raykd import registry
from raykd.cli.show import first_line, page_of

PATH = DOCS / "reference" / "tasks.md"
HEAD = """\
# Tasks and model families

Generated from the shipped tasks and families by `make docs-pages`; do not edit this page.
`raykd show glue/rte` prints the same facts for one name.

## Tasks

The column *metric* names the one that decides; the others are reported, too. Without `data.root`,
rows are read from the Hugging Face hub. The `toy` tasks are generated and need no data. [Add a
task](../how-to/add-a-task.md) shows how a file describes tasks of its own.
"""
FAMILIES = """\
## Model families

The family of a model is read from its `config.json`. A model with random weights names it:
`{family: bert, layers: 2, hidden: 96, heads: 2}`. Teacher and student may come from different
families where the method allows it; the page of a [method](methods.md) says what it compares. These
have a file of their own; any other architecture of Transformers is a family, too, by its
`model_type`: see [Models](models.md).
"""


def text() -> str:
    """The whole page."""
    lines = [HEAD, *table(("task", "about", "metric", "kind", "other metrics"), _tasks()), ""]
    families = [(f"`{name}`", first_line("families", name)) for name in registry.names("families")]
    return "\n".join([*lines, FAMILIES, *table(("family", "about"), families)]) + "\n"


def _tasks() -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name in registry.variants("tasks"):
        page = page_of("tasks", name)
        assert page is not None, name
        facts = page["facts"]
        others = [m for m in facts["all metrics"].split(", ") if m != facts["metric"]]
        rows.append(
            (f"`{name}`", page["title"], f"`{facts['metric']}`", facts["kind"], ", ".join(others))
        )
    return rows
