"""The generated pages of the documentation, and what the site build needs besides MkDocs.

``python -m docs_pages`` writes the generated pages, ``python -m docs_pages --check`` fails where
one is stale. Each module that defines ``PATH`` and ``text()`` is one page.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
