"""``raykd schema``: the JSON schema of search-space files, for editors."""

from __future__ import annotations

import json

from raykd.cli.output import Output


def schema(output: Output) -> None:
    """Print the JSON schema of search-space files, with which editors complete and check them."""
    from raykd.spec.json_schema import file_schema

    if output.is_json:
        output.record(file_schema())
    else:
        output.text(json.dumps(file_schema(), indent=2, ensure_ascii=False))
