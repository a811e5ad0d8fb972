"""Tasks of SuperGLUE as prompts with answer choices, for models that write text.

Wang et al., 2019, https://arxiv.org/abs/1905.00537. Rows are those of ``super_glue/<name>``; how
they are put into words is a file of `raykd.data.templates` each, and a new file there is a new
task here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from raykd.data import templates
from raykd.data.multiple_choice_lm import MultipleChoiceLMTask
from raykd.data.templates.base import Template


def _task(name: str) -> MultipleChoiceLMTask:
    template: Template = importlib.import_module(f"{templates.__name__}.{name}").TEMPLATE
    return MultipleChoiceLMTask(
        name=f"super_glue_prompts/{name}",
        about=template.about,
        hub=("aps/super_glue", name),
        folder=f"super_glue/{name}",
        read=template.read,
    )


_NAMES = (module.name for module in pkgutil.iter_modules(templates.__path__))
TASK: Mapping[str, MultipleChoiceLMTask] = {name: _task(name) for name in _NAMES if name != "base"}
