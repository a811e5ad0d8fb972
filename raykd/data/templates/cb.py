"""CommitmentBank as a question: does a claim in a text follow, is it false, or neither?

The wording is after Brown et al., 2020, https://arxiv.org/abs/2005.14165, appendix G.
"""

from __future__ import annotations

from raykd.data.templates.base import QuestionTemplate, Template

TEMPLATE = Template(
    about="Is a clause true, false or neither, going by a text?",
    read=QuestionTemplate(
        context="premise",
        question="hypothesis",
        prompt="\nQuestion: {}. True, False, or Neither?\nAnswer:",
        answers={"entailment": "True", "contradiction": "False", "neutral": "Neither"},
    ),
)
