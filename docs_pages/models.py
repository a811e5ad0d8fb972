"""The page of architectures: which work, which without something, which are refused."""

from __future__ import annotations

from docs_pages import DOCS, card_sizes
from docs_pages.markdown import table
from raykd import registry
from raykd.cli.family_table import PARTS, facts

PATH = DOCS / "reference" / "models.md"
HEAD = """\
# Models

Generated from the table of tried architectures by `make docs-pages`; do not edit this page.
`python -m raykd.models.architectures.tried` writes the table again, and a test compares each line
with what the probes say.

Any model that the automatic classes of Transformers load is a model family, named by its
`model_type`: `teacher: {model: FOLDER}` reads it from `config.json`, and `student: {model: {family:
modernbert, layers: 2, hidden: 64, heads: 2}}` draws one at random. Kinds of task are those of its
heads. An encoder serves `classification`, `regression`, `span` and `masked_lm`; a decoder
`causal_lm` and, with the last token of the text, `classification` and `regression`; both serve
`embedding`, without a head; an encoder and a decoder together serve `seq2seq`.

Before a model is used, a small copy of it (same switches, few blocks, narrow layers) is held
against the library: the weights survive being taken apart, the logits are those of the library, a
padded row is the row without padding, a decoder does not see the tokens to come and writes the same
next to longer prompts. What fails there is refused with the reason, before the first trial. Then
hidden states, attention maps and students of some layers are checked, and a method that needs one
of those that are not right is refused. Code from a model's repository (`auto_map`) is never run: a
type that Transformers has is read as the library's, with a note, and any other is refused.

These were tried on tiny random models; every one that works was also saved and opened with
`from_pretrained`, cut in depth, and distilled, and what was recorded of it is what it says while it
runs.
"""
END = """\
## What a family cannot know by itself

Files in `raykd/models/families` add what is not in Transformers: where the heads and neurons of a
block are (structured pruning, StarK, subnets), switches that make blocks depend on their number,
positions that no token uses. A module of yours does the same: `FAMILY =
ModelFamily(model_type="modernbert", units=PrunableUnits(...))` in the module
`my_package.my_family` is `family: my_package.my_family`. It must be importable wherever trials run,
and saved models name it in their configuration.
"""


def text() -> str:
    """The whole page."""
    lines = [HEAD]
    for kind in dict.fromkeys(kind for found in registry.tried().values() for kind in found):
        names = [name for name, found in registry.tried().items() if kind in found]
        rows = [(f"`{name}`", facts(name)[kind]) for name in names]
        lines += [f"## {kind}", "", *table(("model type", "what was found"), rows), ""]
    parts = ", ".join(PARTS.values())
    lines += [f"What an architecture may lack: {parts}.", "", *card_sizes.lines(), END]
    return "\n".join(lines)
