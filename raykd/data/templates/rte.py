"""Recognising textual entailment as a question: is a sentence true, going by a text?

The wording is after Brown et al., 2020, https://arxiv.org/abs/2005.14165, appendix G.
"""

from __future__ import annotations

from raykd.data.templates.base import QuestionTemplate, Template

TEMPLATE = Template(
    about="Is a sentence true or false, going by a text?",
    read=QuestionTemplate(
        context="premise",
        question="hypothesis",
        prompt="\nQuestion: {} True or False?\nAnswer:",
        answers={"entailment": "True", "not_entailment": "False"},
    ),
)
