"""The page of the Python API: one entry for mkdocstrings per public name of the package."""

from __future__ import annotations

import raykd
from docs_pages import DOCS

PATH = DOCS / "reference" / "python-api.md"
HEAD = """\
# Python API

Generated from `raykd.__all__` by `make docs-pages`; do not edit this page. These names are public:
`from raykd import sweep`. They are imported when they are first used, so that `import raykd` costs
nothing. Everything else may change without notice.

```python
import raykd

run = raykd.sweep("search_spaces/quickstart.yaml", overrides=["search.trials=2"], progress=True)
print(run.verdict().headline)
run.trials  # a pandas.DataFrame; run.confirmed has the confirm runs alone
model, tokenizer = run.best(arm="kd")
run.figure("arms-0")  # for plotly; run.figures has the names
```
"""
FIRST = ("sweep", "load", "load_spec", "load_results", "build_report")
"""Functions before what a method is written with."""


def text() -> str:
    """The whole page."""
    public = raykd._PUBLIC
    lines = [HEAD]
    for name in (*FIRST, *(n for n in public if n not in FIRST)):
        lines += [f"## `raykd.{name}`", "", f"::: {public[name]}.{name}", ""]
    return "\n".join(lines[:-1]) + "\n"
