"""The JSON schema of search-space files, next to the shipped ones."""

from __future__ import annotations

import json

from docs_pages import ROOT
from raykd.spec.json_schema import file_schema

PATH = ROOT / "search_spaces" / "schema.json"


def text() -> str:
    """The schema as a file."""
    return json.dumps(file_schema(), indent=1, ensure_ascii=False) + "\n"
