"""BoolQ as it is: a passage and a question that is answered with yes or no.

The wording is after Brown et al., 2020, https://arxiv.org/abs/2005.14165, appendix G.
"""

from __future__ import annotations

from raykd.data.templates.base import QuestionTemplate, Template

TEMPLATE = Template(
    about="Is the answer to a question on a passage yes or no?",
    read=QuestionTemplate(
        context="passage",
        question="question",
        prompt="\nQuestion: {}?\nAnswer:",
        answers={"False": "No", "True": "Yes"},
    ),
)
